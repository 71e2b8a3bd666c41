package poll

import (
	"syscall"
	"unsafe"
)

// rawWrite calls write(2) without an announcement to the Go scheduler. The
// descriptor must be non-blocking: during a blocked call, the scheduler could not run
// other goroutines in place of the caller.
func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
