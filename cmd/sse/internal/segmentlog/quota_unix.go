//go:build unix

package segmentlog

import (
	"errors"
	"syscall"
)

// isQuota reports whether the disk has space, but not for this user.
func isQuota(err error) bool { return errors.Is(err, syscall.EDQUOT) }
