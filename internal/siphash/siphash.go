// Package siphash implements SipHash-2-4 by Jean-Philippe Aumasson and Daniel J.
// Bernstein. It is a hash function with a secret key: without the key, a hash
// cannot be predicted.
package siphash

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the hash of 24 bytes: a, b and c, each in little-endian order.
func Sum(key *[16]byte, a, b, c uint64) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	v0, v1 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d
	v2, v3 := k0^0x6c7967656e657261, k1^0x7465646279746573
	// SipHash ends its input with one more word. The top byte of this word is the
	// length, 24. The other bytes are zero, because three words are whole words: no
	// bytes are left over.
	for _, word := range [...]uint64{a, b, c, 24 << 56} {
		v3 ^= word
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0 ^= word
	}
	v2 ^= 0xFF
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// round is SipRound, one round of the paper. It must be small enough for the
// compiler to inline it, so that the variables stay in registers.
func round(v0, v1, v2, v3 uint64) (_, _, _, _ uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v2 += v1
	v0 = bits.RotateLeft64(v0, 32) + v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	return v0, v1, bits.RotateLeft64(v2, 32), v3
}
