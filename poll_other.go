//go:build !linux

package sse

import "errors"

// newPoller fails: streams are held.
func newPoller() (poller, error) {
	return nil, errors.New("parking needs Linux")
}
