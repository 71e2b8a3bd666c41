// Package epoch draws epochs, the random numbers that identify one life of an
// event log.
package epoch

import (
	"crypto/rand"
	"encoding/binary"
)

// New returns a random epoch. It is never zero, because an epoch of zero means
// that a position has no epoch.
func New() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never returns an error
		if epoch := binary.LittleEndian.Uint64(b[:]); epoch != 0 {
			return epoch
		}
	}
}
