package hubtest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// SmallDisk mounts a disk of size bytes, a tmpfs, and returns its directory. It
// unmounts the disk when the test ends. It skips the test if this process has no
// permission to mount a disk.
func SmallDisk(tb testing.TB, size int) (dir string) {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("mounting a small disk needs root")
	}
	dir = tb.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		tb.Skip("cannot mount a small disk: ", err)
	}
	tb.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// Resize changes the size of the disk at dir to size bytes. SmallDisk must have
// mounted the disk.
func Resize(tb testing.TB, dir string, size int) {
	tb.Helper()
	options := fmt.Sprint("size=", size)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, options); err != nil {
		tb.Fatal(err)
	}
}
