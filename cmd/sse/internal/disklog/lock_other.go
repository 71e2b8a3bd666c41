//go:build !unix

package disklog

import (
	"errors"
	"syscall"
)

// isLockedBySystem knows the error with which Windows refuses to open a file that
// is open already, in this process or in another.
func isLockedBySystem(err error) bool {
	const sharingViolation = syscall.Errno(32)
	return errors.Is(err, sharingViolation)
}
