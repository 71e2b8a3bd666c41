package main

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/sse-go/sse/internal/compare/control"
)

// connecting is a LoadConnect command and its progress.
type connecting struct {
	control.LoadCommand
	server   syscall.SockaddrInet4
	started  int   // number of connections that dial has started
	ready    int   // number of subscribers whose response has begun
	deadline int64 // time by [control.Now]
}

const ipBindAddressNoPort = 24

func (c *client) connect(command control.LoadCommand) error {
	if c.connecting != nil {
		return fmt.Errorf("connect: the last command must be complete, but %d of %d are not ready",
			c.connecting.Count-c.connecting.ready, c.connecting.Count)
	}
	addr, err := netip.ParseAddrPort(command.Addr)
	if err != nil || !addr.Addr().Is4() || !addr.Addr().IsLoopback() {
		return fmt.Errorf("connect: addr must be 127.x.y.z:port, not %q", command.Addr)
	}
	command.Topics = max(1, command.Topics)
	command.Concurrency = max(1, command.Concurrency)
	c.connecting = &connecting{
		LoadCommand: command,
		server:      syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())},
		deadline:    control.Now() + int64(command.TimeoutMS)*1e6,
	}
	return nil
}

// connectMore starts connections up to the allowed concurrency. When all subscribers
// are ready, it sends LoadConnected. After the deadline, it returns an error.
func (c *client) connectMore() error {
	w := c.connecting
	for w.started < w.Count && w.started-w.ready < w.Concurrency {
		if err := c.dial(w.First + w.started); err != nil {
			return err
		}
		w.started++
	}
	if w.ready == w.Count {
		perSubscriber := 1
		if w.Pattern {
			perSubscriber = w.Topics
		}
		c.waves.each += w.Count * perSubscriber
		c.connecting = nil
		c.reply(control.LoadReply{Is: control.LoadConnected, Subscribers: c.open})
		return nil
	}
	if control.Now() > w.deadline {
		return fmt.Errorf("only %d of %d subscribers are ready after %d ms",
			w.ready, w.Count, w.TimeoutMS)
	}
	return nil
}

// dial starts the connection of the subscriber with a number. The number determines
// the subscriber's topic and source address.
func (c *client) dial(number int) error {
	fd, err := syscall.Socket(syscall.AF_INET,
		syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket %d: %w (raise the limit of open files: ulimit -n)", c.open, err)
	}
	s := &subscriber{fd: fd, checker: checker{topic: number % c.connecting.Topics}}
	if c.connecting.Pattern {
		s.checker.topic = allTopics
		s.checker.lasts = make([]int64, c.connecting.Topics)
	}
	id := len(c.subscribers)
	c.subscribers = append(c.subscribers, s)
	c.open++
	// With this option, a close resets the connection. Otherwise the connection would
	// remain in the state TIME_WAIT. Tens of thousands of such connections would slow
	// down the next measurement.
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER,
		&syscall.Linger{Onoff: 1})
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	network := c.connecting.Source + number/control.PerSource
	source := syscall.SockaddrInet4{
		Addr: [4]byte{127, byte(1 + network/250%250), byte(1 + network%250), 1},
	}
	if err := syscall.Bind(fd, &source); err != nil {
		return fmt.Errorf("bind to %v: %w", source.Addr, err)
	}
	if err := syscall.Connect(fd, &c.connecting.server); err != nil && err != syscall.EINPROGRESS {
		return fmt.Errorf("connect to %s: %w", c.connecting.Addr, err)
	}
	return c.watch(fd, id, syscall.EPOLLOUT)
}

// sendRequest sends the request on a new connection. The request fits into the
// socket's buffer, which is empty.
func (c *client) sendRequest(s *subscriber, id int) error {
	code, err := syscall.GetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	if err != nil {
		return c.closeLost(s, id, fmt.Errorf("connect: %w", err))
	}
	topic := control.Pattern
	if s.checker.topic != allTopics {
		topic = control.Topic(s.checker.topic)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n",
		strings.ReplaceAll(c.connecting.Path, "{topic}", topic), c.connecting.Addr)
	for _, header := range c.connecting.Headers {
		b.WriteString(header + "\r\n")
	}
	b.WriteString("\r\n")
	if n, err := syscall.Write(s.fd, []byte(b.String())); err != nil || n < b.Len() {
		return c.closeLost(s, id,
			fmt.Errorf("sent %d of %d bytes of the request: %w", n, b.Len(), err))
	}
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(id)}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_MOD, s.fd, &e)
}
