package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
	"github.com/sse-go/sse/internal/compare/drive"
)

// crowd is a group of publishers. A publisher sends the same request again as soon as
// the server has acknowledged the previous request. All publishers run in one thread,
// on one epoll, so that the cost of a request in this process is far less than its
// cost in any server.
type crowd struct {
	request []byte
	answers *answers

	ctx      context.Context
	epoll    int
	conns    []*publisher
	deadline int64 // time by [control.Now] after which publishers send no new requests
	pending  int   // number of requests without a complete response
	latency  control.Histogram
}

// publisher is one connection to the server.
type publisher struct {
	fd     int
	unsent []byte // the part of the request that is not yet sent
	sent   int64  // time at which the request began; if zero, no request is pending
	last   uint64 // sequence number of the publisher's last acknowledged event
	in     []byte // received part of the response
}

// connect opens count connections to addr.
func connect(ctx context.Context, addr string, count int) (*crowd, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &crowd{ctx: ctx, epoll: epoll}
	for range count {
		p, err := dial(ctx, addr)
		if err == nil {
			c.conns = append(c.conns, p)
			err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, p.fd, &syscall.EpollEvent{
				Events: syscall.EPOLLIN | syscall.EPOLLOUT | edgeTriggered, Fd: int32(len(c.conns) - 1),
			})
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// edgeTriggered is EPOLLET, which is a negative number in package syscall.
const edgeTriggered = 1 << 31

// dial opens a connection and duplicates its descriptor. The Go runtime does not
// watch the duplicate.
func dial(ctx context.Context, addr string) (*publisher, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &publisher{in: make([]byte, 0, 4096)}
	if p.fd, err = syscall.Dup(int(file.Fd())); err != nil {
		return nil, err
	}
	return p, syscall.SetNonblock(p.fd, true)
}

func (c *crowd) close() {
	for _, p := range c.conns {
		_ = syscall.Close(p.fd)
	}
	_ = syscall.Close(c.epoll)
}

// publish sends requests for the given duration, and blocks until the server has
// acknowledged all of them.
func (c *crowd) publish(request []byte, answers *answers, duration time.Duration) (
	control.Histogram, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.request, c.answers, c.latency = request, answers, control.Histogram{}
	c.deadline = control.Now() + int64(duration)
	for _, p := range c.conns {
		if err := c.begin(p); err != nil {
			return c.latency, err
		}
	}
	var events [512]syscall.EpollEvent
	for c.pending > 0 {
		n, err := syscall.EpollWait(c.epoll, events[:], int(drive.Timeout.Milliseconds()))
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return c.latency, fmt.Errorf("epoll_wait: %w", err)
		case n == 0:
			return c.latency, fmt.Errorf("%d requests have had no response for %v",
				c.pending, drive.Timeout)
		case c.ctx.Err() != nil:
			return c.latency, c.ctx.Err()
		}
		for _, e := range events[:n] {
			if err := c.handle(c.conns[e.Fd]); err != nil {
				return c.latency, err
			}
		}
	}
	return c.latency, nil
}

// begin begins the next request of a publisher.
func (c *crowd) begin(p *publisher) error {
	p.sent, p.unsent = control.Now(), c.request
	c.pending++
	return p.send()
}

// send writes as much of the request as the socket accepts.
func (p *publisher) send() error {
	for len(p.unsent) > 0 {
		n, err := syscall.Write(p.fd, p.unsent)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil // epoll reports when the socket has space
		case err != nil && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("write: %w", err)
		}
		p.unsent = p.unsent[max(n, 0):]
	}
	return nil
}

// handle continues with a connection that is readable or writable.
func (c *crowd) handle(p *publisher) error {
	if err := p.send(); err != nil {
		return err
	}
	for p.sent > 0 {
		n, err := syscall.Read(p.fd, p.in[len(p.in):cap(p.in)])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return errors.New("the server closed a connection")
		}
		p.in = p.in[:len(p.in)+n]
		status, body, whole, err := parseAnswer(p.in)
		if err != nil {
			return err
		}
		if whole {
			if err := c.finish(p, status, body); err != nil {
				return err
			}
			continue
		}
		if len(p.in) == cap(p.in) {
			return fmt.Errorf("a response must have at most %d bytes", cap(p.in))
		}
	}
	return nil
}

// finish checks and counts a response. Before the deadline, it also sends the
// next request.
func (c *crowd) finish(p *publisher, status int, body []byte) error {
	if len(p.unsent) > 0 {
		return fmt.Errorf("status %d before the end of the request: %s", status, body)
	}
	now := control.Now()
	c.latency.Add(now - p.sent)
	last, err := c.answers.check(status, body)
	if err == nil && c.answers.number != nil && last <= p.last {
		err = fmt.Errorf("event %d was acknowledged after event %d", last, p.last)
	}
	if err != nil {
		return err
	}
	p.last, p.sent, p.in = last, 0, p.in[:0]
	if c.pending--; now >= c.deadline {
		return nil
	}
	return c.begin(p)
}

// parseAnswer parses a response with a Content-Length. If in does not contain the
// whole response, whole is false.
func parseAnswer(in []byte) (status int, body []byte, whole bool, err error) {
	head, body, found := bytes.Cut(in, []byte("\r\n\r\n"))
	if !found {
		return 0, nil, false, nil
	}
	if len(head) < len("HTTP/1.1 200") {
		return 0, nil, false, fmt.Errorf("the response begins with %q", head)
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, nil, false, fmt.Errorf("the response begins with %q", head)
	}
	const name = "\r\nContent-Length: "
	_, text, found := bytes.Cut(head, []byte(name))
	text, _, _ = bytes.Cut(text, []byte("\r\n"))
	length, err := strconv.Atoi(string(text))
	if !found || err != nil {
		return 0, nil, false, fmt.Errorf("a response must have a Content-Length: %q", head)
	}
	if len(body) > length {
		return 0, nil, false, fmt.Errorf("%q follows a response", body[length:])
	}
	return status, body, len(body) == length, nil
}
