//go:build !linux

package poll

import (
	"errors"
	"syscall"
	"time"
)

// SwapUserTimeout returns [errors.ErrUnsupported], because only Linux has
// TCP_USER_TIMEOUT.
func SwapUserTimeout(syscall.Conn, time.Duration) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
