package wire

import (
	"math/bits"
	"strconv"
)

// LastChunk ends an HTTP/1.1 body with "Transfer-Encoding: chunked".
//
// RFC 9112 7.1: last-chunk = 1*("0") CRLF
const LastChunk = "0\r\n\r\n"

// AppendChunk appends data to dst as one chunk. It appends nothing if data is empty,
// because an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// HexLen returns the number of hexadecimal digits of n, which must be positive.
func HexLen(n int) int { return (bits.Len(uint(n)) + 3) / 4 }
