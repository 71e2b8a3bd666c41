//go:build !linux

package poll

import "errors"

// New returns an error. Package sse then serves each stream with a goroutine.
func New() (Poller, error) {
	return nil, errors.New("parking needs Linux")
}
