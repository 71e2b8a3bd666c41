package wire

import "unsafe"

// Bytes returns the bytes of text, in the same memory. The caller must not modify
// them.
func Bytes(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// Text returns p as a string, in the same memory. No caller may modify p
// afterwards. So Text must not be called with the encoded bytes of an event
// before all of them are written.
func Text(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
