//go:build !linux

package poll

import (
	"errors"
	"syscall"
	"time"
)

// SwapUserTimeout returns [errors.ErrUnsupported]: only Linux has the option.
func SwapUserTimeout(syscall.Conn, time.Duration) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
