package sse

import "unsafe"

// bytesOf and textOf see the same memory as the other kind of value. What they
// return, and what they are given, must never be modified: for the encoded bytes
// of events, which are shared, that holds from the moment they are complete.

func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

func textOf(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
