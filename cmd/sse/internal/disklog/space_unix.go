//go:build unix

package disklog

import (
	"errors"
	"syscall"
)

// isQuota reports whether it is not the disk that is full, but what this user
// may have of it.
func isQuota(err error) bool { return errors.Is(err, syscall.EDQUOT) }
