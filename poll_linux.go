package sse

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// sendBuffer is what the kernel may hold for a peer that does not read. Left
	// alone, it lets that grow to megabytes.
	sendBuffer = 64 << 10

	// uringLeast is for how many writes the ring is worth it.
	uringLeast = 4

	epollET = 1 << 31 // syscall.EPOLLET is negative
)

// epoll is the poller of Linux. Its descriptors are level with those of the
// runtime's own poller, which watches the epoll as one more: so waiting takes a
// goroutine, but no thread.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
	buf  []syscall.EpollEvent
	ring *uring // that writes, or nil
}

func newPoller() (poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("sse: epoll: %w", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("sse: epoll: %w", err)
	}
	e := &epoll{file: file, raw: raw, buf: make([]syscall.EpollEvent, 128)}
	if e.ring, err = newURing(loopBatch); err != nil {
		e.ring = nil // then sockets are written to one by one
	}
	return e, nil
}

func (e *epoll) adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	fd, err := duplicate(conn)
	if err != nil {
		return -1, err
	}
	if err := e.watch(fd, token, timeout); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	_ = conn.Close() // the socket lives on in fd
	return fd, nil
}

// duplicate returns another descriptor of the connection's socket, which the
// runtime knows nothing of.
func duplicate(conn net.Conn) (int, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("sse: %T has no SyscallConn", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		var r uintptr
		r, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(r)
	})
	if err == nil && errno != 0 {
		err = fmt.Errorf("sse: duplicating a descriptor: %w", errno)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// watch sets the socket up, and has the epoll report when its peer goes, and when
// there is room again after a write that found none.
func (e *epoll) watch(fd int, token uint64, timeout time.Duration) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("sse: O_NONBLOCK: %w", err)
	}
	err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
	if err != nil {
		return fmt.Errorf("sse: SO_SNDBUF: %w", err)
	}
	if timeout > 0 {
		millis := int(min(timeout.Milliseconds(), math.MaxInt32))
		err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpUserTimeout, millis)
		// Neither a client that speaks Multipath TCP nor a Unix socket has it. The
		// wheel finds those that stall.
		if err != nil && !errors.Is(err, syscall.ENOPROTOOPT) && !errors.Is(err, syscall.EOPNOTSUPP) {
			return fmt.Errorf("sse: TCP_USER_TIMEOUT: %w", err)
		}
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollET,
		Fd:     int32(uint32(token)),
		Pad:    int32(uint32(token >> 32)),
	}
	controlErr := e.raw.Control(func(epfd uintptr) {
		err = syscall.EpollCtl(int(epfd), syscall.EPOLL_CTL_ADD, fd, &event)
	})
	if err = errors.Join(controlErr, err); err != nil {
		return fmt.Errorf("sse: epoll: %w", err)
	}
	return nil
}

func (e *epoll) wait(events []readiness) (int, error) {
	n := 0
	var err error
	readErr := e.raw.Read(func(epfd uintptr) bool {
		for {
			n, err = syscall.EpollWait(int(epfd), e.buf[:min(len(e.buf), len(events))], 0)
			if err != syscall.EINTR {
				return err != nil || n > 0
			}
		}
	})
	if readErr != nil {
		return 0, readErr
	}
	if err != nil {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	for i := range n {
		event := &e.buf[i]
		events[i] = readiness{
			token: uint64(uint32(event.Pad))<<32 | uint64(uint32(event.Fd)),
			gone:  event.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0,
		}
	}
	return n, nil
}

// writeAll takes one system call for many, where the system has one.
func (e *epoll) writeAll(outs []*output) {
	if len(outs) >= uringLeast && e.ring != nil && !e.ring.send(outs) {
		e.ring.close()
		e.ring = nil
	}
	for _, out := range outs {
		e.write(out)
	}
}

// write does not tell the scheduler of the call, which does not block: that costs as
// much as a seventh of the call itself.
func (e *epoll) write(out *output) {
	for out.n < len(out.data) && out.err == nil {
		n, errno := rawWrite(out.fd, out.data[out.n:])
		switch errno {
		case 0:
			out.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return
		default:
			out.err = os.NewSyscallError("write", errno)
			return
		}
	}
}

func (e *epoll) close(fd int) { _ = syscall.Close(fd) }

func (e *epoll) stop() { _ = e.file.Close() }

func (e *epoll) free() {
	if e.ring != nil {
		e.ring.close()
		e.ring = nil
	}
}
