package control

import (
	"syscall"
	"unsafe"
)

const clockMonotonic = 1

// monotonic returns CLOCK_MONOTONIC in nanoseconds. This clock starts at the same
// moment for every process.
func monotonic() int64 { return clock(clockMonotonic) }

// CPUTime returns the user and system time of a process in nanoseconds,
// including all its running and ended threads. It returns 0 if there is no such
// process.
//
// /proc/PID/stat contains the same time, but only with a resolution of 10 ms.
func CPUTime(pid int) int64 {
	// clock_getcpuclockid(3) computes the ID of a process's CPU clock in the same
	// way.
	const processClock = 2
	return clock(^pid<<3 | processClock)
}

// clock returns the time of a clock in nanoseconds, or 0 if there is no such clock.
func clock(id int) int64 {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME,
		uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0
	}
	return ts.Nano()
}
