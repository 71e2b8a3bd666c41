package poll

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"syscall"
	"time"
)

const (
	// sendBuffer is the size, in bytes, of a socket's send buffer. By default, the
	// buffer of a peer that does not read grows to megabytes.
	sendBuffer = 64 << 10

	// uringMin is the smallest number of outputs for which io_uring is cheaper
	// than one system call for each output.
	uringMin = 4

	epollET = 1 << 31 // syscall.EPOLLET is negative
)

// epoll is the Poller of Linux. The runtime's network poller watches the epoll's
// descriptor as it watches a socket, so a blocked Wait occupies no thread.
type epoll struct {
	file *os.File // the epoll's descriptor
	raw  syscall.RawConn
	buf  []syscall.EpollEvent
	ring *uring // writes many outputs with one system call; nil without io_uring
}

// New returns a Poller that uses epoll.
func New() (Poller, error) {
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
	if e.ring, err = newURing(Batch); err != nil {
		e.ring = nil // WriteAll then takes a system call for each output
	}
	return e, nil
}

// Adopts implements [Poller].
func (e *epoll) Adopts(conn reflect.Type) bool {
	return conn == reflect.TypeFor[*net.TCPConn]() || conn == reflect.TypeFor[*net.UnixConn]()
}

// Adopt implements [Poller].
func (e *epoll) Adopt(conn net.Conn, token uint64, timeout time.Duration) (int, error) {
	if !e.Adopts(reflect.TypeOf(conn)) {
		return -1, fmt.Errorf("sse: a parked connection must be a *net.TCPConn or a *net.UnixConn: %T",
			conn)
	}
	fd, err := duplicate(conn.(syscall.Conn))
	if err != nil {
		return -1, err
	}
	if err := e.watch(fd, token, timeout); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	_ = conn.Close() // fd keeps the socket open
	return fd, nil
}

// duplicate returns a second descriptor of the connection's socket. The runtime's
// network poller does not watch this descriptor.
func duplicate(socket syscall.Conn) (int, error) {
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

// watch sets the options of the socket fd and registers fd with the epoll. Wait
// then reports when the peer closes the connection. After a write that found too
// little room, Wait also reports when there is room again.
func (e *epoll) watch(fd int, token uint64, timeout time.Duration) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("sse: O_NONBLOCK: %w", err)
	}
	err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
	if err != nil {
		return fmt.Errorf("sse: SO_SNDBUF: %w", err)
	}
	if timeout > 0 {
		err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpUserTimeout, milliseconds(timeout))
		// Multipath TCP and Unix sockets do not have this option. The caller must
		// detect their stalled peers with its own timers.
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

// Wait implements [Poller].
func (e *epoll) Wait(events []Readiness) (int, error) {
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
		events[i] = Readiness{
			Token: uint64(uint32(event.Pad))<<32 | uint64(uint32(event.Fd)),
			Gone:  event.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0,
		}
	}
	return n, nil
}

// WriteAll implements [Poller]. With io_uring, one system call writes up to Batch
// outputs. Then WriteAll calls Write for each output, because Write continues an output
// that is not complete. If there is no ring or there are fewer than uringMin outputs,
// Write writes all of them.
func (e *epoll) WriteAll(outs []*Output) {
	if len(outs) >= uringMin && e.ring != nil && !e.ring.send(outs) {
		e.ring.close()
		e.ring = nil
	}
	for _, out := range outs {
		e.Write(out)
	}
}

// Write implements [Poller]. It does not announce the system call to the Go
// scheduler: the call does not block, and the announcement would add a seventh to
// its cost.
func (e *epoll) Write(out *Output) {
	for out.N < len(out.Data) && out.Err == nil {
		n, errno := rawWrite(out.FD, out.Data[out.N:])
		switch errno {
		case 0:
			out.N += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return
		default:
			out.Err = os.NewSyscallError("write", errno)
			return
		}
	}
}

// Close implements [Poller].
func (e *epoll) Close(fd int) { _ = syscall.Close(fd) }

// Stop implements [Poller].
func (e *epoll) Stop() { _ = e.file.Close() }

// Free implements [Poller].
func (e *epoll) Free() {
	if e.ring != nil {
		e.ring.close()
		e.ring = nil
	}
}
