package poll

import (
	"math"
	"syscall"
	"time"
)

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT, in milliseconds

// SwapUserTimeout sets TCP_USER_TIMEOUT, the time for which sent data may stay
// unacknowledged before the kernel closes the connection. It returns the previous
// value. Zero means the system's default.
func SwapUserTimeout(socket syscall.Conn, d time.Duration) (before time.Duration, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	millis := milliseconds(d)
	controlErr := raw.Control(func(fd uintptr) {
		var old int
		old, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		before = time.Duration(old) * time.Millisecond
		if err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, millis)
		}
	})
	if controlErr != nil {
		err = controlErr
	}
	return before, err
}

// milliseconds rounds up, because the system takes zero for its default.
func milliseconds(d time.Duration) int {
	millis := d.Milliseconds()
	if d > time.Duration(millis)*time.Millisecond {
		millis++
	}
	return int(min(millis, math.MaxInt32))
}
