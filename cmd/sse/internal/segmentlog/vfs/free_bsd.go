//go:build darwin || dragonfly || freebsd

package vfs

import "golang.org/x/sys/unix"

func freeBytes(dir string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	// Some systems report a negative number when only root can still write.
	return uint64(max(int64(stat.Bavail), 0)) * uint64(stat.Bsize), nil
}
