package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/sse-go/sse/internal/compare/control"
)

// client is the state of the process. Only one goroutine uses it.
type client struct {
	epoll       int
	subscribers []*subscriber // by id, which is also the data of the epoll entry
	open        int           // number of open connections
	connecting  *connecting   // nil if no subscriber is connecting
	buf         []byte        // buffer for all reads

	now      int64 // time at which the last read returned
	waves    waves
	reported int64  // the last wave that was reported to the coordinator
	base     int64  // waves.reached at the last LoadProgress
	every    int64  // number of waves between reports
	input    []byte // the part of the input that is not yet a complete line
	ended    bool   // the process must end, because its input or output has ended
	ending   bool   // streams may end, and LoadEnded is not yet sent
	deliver  func(*subscriber)

	events, bytes int64
	latency       control.Histogram
	errors        int64
	firstError    string
}

// inputID is the data of the epoll entry of the standard input.
const inputID = -1

func run() error {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	c := &client{epoll: epoll, buf: make([]byte, 256<<10), every: 1}
	c.deliver = c.count
	if err := syscall.SetNonblock(0, true); err != nil {
		return err
	}
	if err := c.watch(0, inputID, syscall.EPOLLIN); err != nil {
		return fmt.Errorf("the standard input must be a pipe: %w", err)
	}
	for !c.ended {
		if err := c.poll(); err != nil {
			c.reply(control.LoadReply{Is: control.LoadFailed, Text: err.Error()})
			return err
		}
	}
	return nil
}

func (c *client) watch(fd, id int, events uint32) error {
	e := syscall.EpollEvent{Events: events, Fd: int32(id)}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &e)
}

// poll waits for epoll events and handles them.
func (c *client) poll() error {
	var events [512]syscall.EpollEvent
	timeout := -1
	if c.connecting != nil {
		timeout = 100 // milliseconds, so that connectMore checks the deadline
	}
	n, err := syscall.EpollWait(c.epoll, events[:], timeout)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	for _, e := range events[:max(n, 0)] {
		if e.Fd == inputID {
			if err := c.readInput(); err != nil {
				return err
			}
			continue
		}
		if s := c.subscribers[e.Fd]; s.fd >= 0 {
			if err := c.handle(s, int(e.Fd), e.Events); err != nil {
				return err
			}
		}
	}
	if c.waves.advance(); c.waves.reached >= c.reported+c.every {
		c.reported = c.waves.reached - (c.waves.reached-c.base)%c.every
		// Package json would be too slow, because there may be a line for every wave.
		line := append([]byte(`{"is":"`+control.LoadReached+`","wave":`),
			strconv.FormatInt(c.reported, 10)...)
		if _, err := os.Stdout.Write(append(line, '}', '\n')); err != nil {
			return err
		}
	}
	if c.connecting != nil {
		return c.connectMore()
	}
	return nil
}

// handle handles epoll events of a subscriber's socket. On a new connection it sends
// the request. Otherwise it reads once: if more bytes are available, epoll reports
// the socket again.
func (c *client) handle(s *subscriber, id int, events uint32) error {
	if !s.ready && events&syscall.EPOLLOUT != 0 {
		return c.sendRequest(s, id)
	}
	n, err := rawRead(s.fd, c.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return c.closeLost(s, id, fmt.Errorf("read: %w", err))
	case n == 0:
		return c.closeLost(s, id, errors.New("the server closed the connection"))
	}
	c.now = control.Now()
	c.bytes += int64(n)
	if err := s.feed(c.buf[:n], c.deliver); err != nil {
		return c.closeLost(s, id, err)
	}
	if !s.ready && s.phase != inHeader && (s.hasBody || !c.connecting.Body) {
		s.ready = true
		c.connecting.ready++
	}
	return nil
}

// count checks and counts the event that s has received. The first event of every
// subscriber must have the number 1: no event may be published before all
// subscribers are connected.
func (c *client) count(s *subscriber) {
	c.events++
	c.latency.Add(c.now - s.event.Sent)
	err := s.checker.check(s.event)
	if err == nil && !c.waves.add(s.event.Wave) {
		err = fmt.Errorf("received event %d, but all events through %d are complete",
			s.event.Wave, c.waves.reached)
	}
	if err != nil {
		c.fail(err)
	}
}

func (c *client) fail(err error) {
	if c.errors++; c.errors == 1 {
		c.firstError = err.Error()
	}
}

// closeLost closes a connection that has broken or ended. It counts the error, unless
// the end was expected. If the subscriber was not yet ready, closeLost returns the
// error instead, which ends the process.
func (c *client) closeLost(s *subscriber, id int, err error) error {
	c.close(s)
	if !s.ready {
		return fmt.Errorf("subscriber %d: %w", id, err)
	}
	if !c.ending || !errors.Is(err, errEnded) {
		c.fail(fmt.Errorf("subscriber %d: %w", id, err))
	}
	c.sendEnded()
	return nil
}

// sendEnded sends LoadEnded if all streams have ended and LoadExpectEnd was received
// before.
func (c *client) sendEnded() {
	if c.ending && c.open == 0 {
		c.ending = false
		c.reply(control.LoadReply{Is: control.LoadEnded, Errors: c.errors, Text: c.firstError})
	}
}

func (c *client) close(s *subscriber) {
	if s.fd >= 0 {
		syscall.Close(s.fd)
		s.fd, s.rest = -1, nil
		c.open--
	}
}

// reply writes a line to the coordinator.
func (c *client) reply(r control.LoadReply) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = os.Stdout.Write(append(line, '\n'))
	}
	if err != nil {
		c.ended = true // the coordinator no longer reads
	}
}

// readInput executes all complete lines of the input.
func (c *client) readInput() error {
	n, err := rawRead(0, c.buf)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	if err != nil || n == 0 {
		c.ended = true
		return nil //nolint:nilerr // a read error counts as the end of the input
	}
	c.input = append(c.input, c.buf[:n]...)
	for {
		line, rest, found := bytes.Cut(c.input, []byte("\n"))
		if !found {
			return nil
		}
		var command control.LoadCommand
		if err := json.Unmarshal(line, &command); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		c.input = rest
		if err := c.execute(command); err != nil {
			return err
		}
	}
}

func (c *client) execute(command control.LoadCommand) error {
	switch command.Do {
	case control.LoadConnect:
		return c.connect(command)
	case control.LoadProgress:
		c.every = max(1, command.Every)
		c.base, c.reported = c.waves.reached, c.waves.reached
	case control.LoadReset:
		c.events, c.bytes = 0, 0
		c.latency.Reset()
		c.reply(control.LoadReply{Is: control.LoadDone})
	case control.LoadReport:
		c.reply(control.LoadReply{
			Is: control.LoadReported, Wave: c.waves.reached, Subscribers: c.open,
			Events: c.events, Bytes: c.bytes, Latency: c.latency,
			Errors: c.errors, Text: c.firstError,
		})
	case control.LoadExpectEnd:
		c.ending = true
		c.reply(control.LoadReply{Is: control.LoadDone})
		c.sendEnded()
	case control.LoadClose:
		for _, s := range c.subscribers {
			c.close(s)
		}
		c.reply(control.LoadReply{Is: control.LoadDone})
	default:
		return fmt.Errorf("unknown command %q", command.Do)
	}
	return nil
}

// rawRead reads without a notification of the Go scheduler, because the read does not
// block. That saves a third of the cost of a small read.
func rawRead(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
