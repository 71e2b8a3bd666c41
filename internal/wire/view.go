package wire

import "unsafe"

// Bytes returns the bytes of text, in the same memory. The caller must not modify
// them.
func Bytes(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// Text returns p as a string, in the same memory. Nothing may modify p after the
// call. For example, the encoded bytes of an event must be complete before Text is
// called with them.
func Text(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
