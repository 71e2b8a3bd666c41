package vfs

import "golang.org/x/sys/unix"

func freeBytes(dir string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	// Linux counts in fragments, whose size may differ from the size of a block.
	return stat.Bavail * uint64(stat.Frsize), nil
}
