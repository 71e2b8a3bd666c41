package siphash_test

import (
	"encoding/binary"
	"testing"

	"github.com/sse-go/sse/internal/siphash"
)

// reference returns the SipHash-2-4 of a text of any length. It follows the paper
// literally.
func reference(key [16]byte, text []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	v := [4]uint64{
		k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573,
	}
	rotate := func(x uint64, n int) uint64 { return x<<n | x>>(64-n) }
	rounds := func(n int) {
		for range n {
			v[0], v[2] = v[0]+v[1], v[2]+v[3]
			v[1], v[3] = rotate(v[1], 13)^v[0], rotate(v[3], 16)^v[2]
			v[0] = rotate(v[0], 32)
			v[2], v[0] = v[2]+v[1], v[0]+v[3]
			v[1], v[3] = rotate(v[1], 17)^v[2], rotate(v[3], 21)^v[0]
			v[2] = rotate(v[2], 32)
		}
	}
	padded := append([]byte(nil), text...)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(len(text)))
	for ; len(padded) > 0; padded = padded[8:] {
		m := binary.LittleEndian.Uint64(padded)
		v[3] ^= m
		rounds(2)
		v[0] ^= m
	}
	v[2] ^= 0xFF
	rounds(4)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func TestSum(t *testing.T) {
	var key [16]byte
	var text [24]byte
	for i := range text {
		text[i] = byte(i)
		if i < len(key) {
			key[i] = byte(i)
		}
	}
	// The test vector of appendix A of "SipHash: a fast short-input PRF".
	if got := reference(key, text[:15]); got != 0xa129ca6149be45e5 {
		t.Fatalf("the reference returns %x for the test vector", got)
	}
	for bit := range 8 * (len(key) + len(text)) {
		key, text := key, text
		if i := bit / 8; i < len(key) {
			key[i] ^= 1 << (bit % 8)
		} else {
			text[i-len(key)] ^= 1 << (bit % 8)
		}
		var words [3]uint64
		for i := range words {
			words[i] = binary.LittleEndian.Uint64(text[8*i:])
		}
		if got, want := siphash.Sum(&key, words[0], words[1], words[2]), reference(key, text[:]); got != want {
			t.Errorf("bit %d: got %x, want %x", bit, got, want)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	var key [16]byte
	sum := uint64(0)
	for b.Loop() {
		sum += siphash.Sum(&key, sum, 1, 2)
	}
}
