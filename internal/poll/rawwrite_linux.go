package poll

import (
	"syscall"
	"unsafe"
)

// rawWrite calls write(2) without an announcement to the Go scheduler. The
// descriptor must be non-blocking, because a blocked call would also block the
// other goroutines of its thread.
func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
