//go:build !linux

package poll

import "errors"

// New returns an error, so that streams are held.
func New() (Poller, error) {
	return nil, errors.New("parking needs Linux")
}
