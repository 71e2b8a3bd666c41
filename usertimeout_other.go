//go:build !linux

package sse

import (
	"errors"
	"syscall"
	"time"
)

// swapUserTimeout fails: the option is Linux's.
func swapUserTimeout(syscall.Conn, time.Duration) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
