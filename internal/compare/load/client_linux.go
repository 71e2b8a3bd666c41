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

// client is all of the process. Everything happens in one goroutine.
type client struct {
	epoll       int
	subscribers []*subscriber // by their number here, which is epoll's datum
	open        int
	connecting  *connecting // nil: nobody is
	buf         []byte      // for all reads

	now     int64 // when the last read returned
	waves   waves
	told    int64 // the last wave that the coordinator knows of
	base    int64 // the wave from which on it is told
	every   int64 // every so many waves
	input   []byte
	ended   bool // there is no more input
	ending  bool // streams may end, and LoadEnded is due
	deliver func(*subscriber)

	events, bytes int64
	latency       control.Histogram
	errors        int64
	firstError    string
}

// inputID is epoll's datum of the standard input.
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
			c.say(control.LoadReply{Is: control.LoadFailed, Text: err.Error()})
			return err
		}
	}
	return nil
}

func (c *client) watch(fd, id int, events uint32) error {
	e := syscall.EpollEvent{Events: events, Fd: int32(id)}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &e)
}

// poll waits for what happens next, and handles it.
func (c *client) poll() error {
	var events [512]syscall.EpollEvent
	timeout := -1
	if c.connecting != nil {
		timeout = 100 // milliseconds, to look at the deadline
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
	if c.waves.advance(); c.waves.reached >= c.told+c.every {
		c.told = c.waves.reached - (c.waves.reached-c.base)%c.every
		// By hand, as this is said for every event.
		line := append([]byte(`{"is":"`+control.LoadReached+`","wave":`),
			strconv.FormatInt(c.told, 10)...)
		if _, err := os.Stdout.Write(append(line, '}', '\n')); err != nil {
			return err
		}
	}
	if c.connecting != nil {
		return c.connectMore()
	}
	return nil
}

// handle reads once. What one read leaves makes epoll report the socket again.
func (c *client) handle(s *subscriber, id int, events uint32) error {
	if !s.ready && events&syscall.EPOLLOUT != 0 {
		return c.connected(s, id)
	}
	n, err := rawRead(s.fd, c.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return c.lost(s, id, fmt.Errorf("read: %w", err))
	case n == 0:
		return c.lost(s, id, errors.New("the server closed the connection"))
	}
	c.now = control.Now()
	c.bytes += int64(n)
	if err := s.feed(c.buf[:n], c.deliver); err != nil {
		return c.lost(s, id, err)
	}
	if !s.ready && s.phase != inHeader && (s.got || !c.connecting.Body) {
		s.ready = true
		c.connecting.ready++
	}
	return nil
}

// count checks the event that s has got. While some are connecting nothing may be
// published, so that every subscriber's first event is number 1.
func (c *client) count(s *subscriber) {
	c.events++
	c.latency.Add(c.now - s.event.Sent)
	err := s.checker.check(s.event)
	if err == nil && !c.waves.add(s.event.Wave) {
		err = fmt.Errorf("event %d, while all have those up to %d", s.event.Wave, c.waves.reached)
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

// lost closes a connection that broke or ended. While connecting that ends
// everything: there would never be enough.
func (c *client) lost(s *subscriber, id int, err error) error {
	c.close(s)
	if !s.ready {
		return fmt.Errorf("subscriber %d: %w", id, err)
	}
	if !c.ending || !errors.Is(err, errEnded) {
		c.fail(fmt.Errorf("subscriber %d: %w", id, err))
	}
	c.tellEnd()
	return nil
}

// tellEnd tells, once, that all streams have ended, if that is asked for.
func (c *client) tellEnd() {
	if c.ending && c.open == 0 {
		c.ending = false
		c.say(control.LoadReply{Is: control.LoadEnded, Errors: c.errors, Text: c.firstError})
	}
}

func (c *client) close(s *subscriber) {
	if s.fd >= 0 {
		syscall.Close(s.fd)
		s.fd, s.rest = -1, nil
		c.open--
	}
}

func (c *client) say(r control.LoadReply) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = os.Stdout.Write(append(line, '\n'))
	}
	if err != nil {
		c.ended = true // nobody listens
	}
}

// readInput obeys all whole lines of the input.
func (c *client) readInput() error {
	n, err := rawRead(0, c.buf)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	if err != nil || n == 0 {
		c.ended = true
		return nil //nolint:nilerr // an input that fails has ended
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
		if err := c.obey(command); err != nil {
			return err
		}
	}
}

func (c *client) obey(command control.LoadCommand) error {
	switch command.Do {
	case control.LoadConnect:
		return c.connect(command)
	case control.LoadProgress:
		c.every = max(1, command.Every)
		c.base, c.told = c.waves.reached, c.waves.reached
	case control.LoadReset:
		c.events, c.bytes = 0, 0
		c.latency.Reset()
		c.say(control.LoadReply{Is: control.LoadDone})
	case control.LoadReport:
		c.say(control.LoadReply{
			Is: control.LoadReported, Wave: c.waves.reached, Subscribers: c.open,
			Events: c.events, Bytes: c.bytes, Latency: c.latency,
			Errors: c.errors, Text: c.firstError,
		})
	case control.LoadExpectEnd:
		c.ending = true
		c.say(control.LoadReply{Is: control.LoadDone})
		c.tellEnd()
	case control.LoadClose:
		for _, s := range c.subscribers {
			c.close(s)
		}
		c.say(control.LoadReply{Is: control.LoadDone})
	default:
		return fmt.Errorf("unknown command %q", command.Do)
	}
	return nil
}

// rawRead does not tell the scheduler, as a read that does not block need not:
// that is a third of what a small read costs.
func rawRead(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
