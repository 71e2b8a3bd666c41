// Package epoch draws epochs. An epoch is a random number that identifies one
// lifetime of an event log. A log draws an epoch when it is created, and another
// one when it has lost stored events.
package epoch

import (
	"crypto/rand"
	"encoding/binary"
)

// New returns a random epoch. The epoch is not zero, because a position with the
// epoch zero has no epoch.
func New() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never returns an error
		if epoch := binary.LittleEndian.Uint64(b[:]); epoch != 0 {
			return epoch
		}
	}
}
