package main

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// reusePort is SO_REUSEPORT, which package syscall does not define for every
// architecture.
const reusePort = 15

// listenShared listens on an address that other processes may listen on too. For each
// connection, the kernel chooses one of the processes by a hash of the addresses.
func listenShared(addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1)
		})
		return errors.Join(err, failed)
	}}
	return config.Listen(context.Background(), "tcp", addr)
}
