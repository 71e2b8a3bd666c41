// Package hub is the daemon of "sse serve": it puts the log, the broker, the keys and
// the HTTP interface together, and takes them apart again.
//
//	hub.New(config) → Run(ctx)
//
//	log ◄── broker ◄── api ◄── http.Server ◄── listeners      opened from left to right
//
// When ctx is done the listeners go first, so that a successor can have the port;
// then every stream is told when to come back; the lock of the log goes last.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// Hub is a hub that runs once.
type Hub struct {
	config Config
	disk   *disklog.Log // or nil
	broker *sse.Broker
	server *http.Server
	stop   context.CancelFunc // ends what takes long
	serves sync.WaitGroup     // the goroutines of the server
	told   context.CancelFunc // ends those of tells
	tells  sync.WaitGroup     // who tells the operator of slow subscribers

	mu     sync.Mutex // guards the following
	closed bool
	cancel context.CancelFunc // makes Run hurry
}

// New returns a hub that has not begun yet, or says what is wrong with its
// configuration.
func New(config Config) (*Hub, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Hub{config: config.withDefaults()}, nil
}

// Run serves until ctx is done, and then shuts down within Config.Grace and what the
// log needs to close. It returns nil if that is how it ended.
func (h *Hub) Run(ctx context.Context) (err error) {
	hurry, cancel := context.WithCancel(context.Background())
	defer cancel()
	h.mu.Lock()
	h.cancel = cancel
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return errors.New("sse: the hub was closed before it began")
	}
	if h.config.Data != Memory {
		if h.disk, err = openLog(ctx, &h.config); err != nil {
			if ctx.Err() != nil {
				return nil // which has ended the wait for another hub
			}
			return err
		}
		defer func() { err = errors.Join(err, h.disk.Close()) }()
	}
	if ctx.Err() != nil {
		return nil // while it waited for the log
	}
	listeners, err := listen(ctx, h.config.Addr)
	if err != nil {
		return err
	}
	if err := h.build(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	failed := h.serve(listeners)
	started := h.started(listeners)
	if err := h.writeAddr(started.Addr); err != nil {
		return errors.Join(err, h.shutdown(hurry, 0))
	}
	if h.config.Ready != nil {
		h.config.Ready(started)
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, h.shutdown(hurry, h.config.Grace))
}

// Close makes Run return at once: what it would wait for is cut off.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.cancel != nil {
		h.cancel()
	}
}

// build makes the parts, from the log to the server.
func (h *Hub) build() error {
	c := &h.config
	authority, err := auth.New(c.Keys, nil)
	if err != nil {
		return err
	}
	slow := &slow{wake: make(chan struct{}, 1)}
	h.broker = &sse.Broker{
		Park:         true,
		Stream:       sse.AcceptOptions{Heartbeat: c.Heartbeat, Logger: c.Logger},
		OnDisconnect: slow.disconnected,
	}
	publisher := &publisher{broker: h.broker, disk: h.disk, keys: newKeys(c.KeyWindow)}
	if h.disk != nil {
		h.broker.Log = durable{h.disk}
	} else {
		h.broker.Retention, h.broker.TopicRetention = inMemory(c.Retention)
	}
	closing, stop := context.WithCancel(context.Background())
	h.stop = stop
	host, _, _ := net.SplitHostPort(c.Addr)
	handler, err := api.New(api.Options{
		Broker: h.broker, Log: publisher, Authority: authority,
		Hosts: c.Hosts, Origins: c.Origins, MaxEvent: c.MaxEvent, Closing: closing,
		// With keys, a page of another name has none: nothing is to be had by it.
		AnyHost: len(c.Hosts) == 0 && len(c.Keys) > 0 && !isLoopback(host),
		Refused: func(what, flag string) {
			c.Logger.Warn(what+" was refused", slog.String("hint", flag+" allows it"))
		},
		Failed: func(err error) { c.Logger.Error("a request failed", "error", bare(err)) },
	})
	if err != nil {
		stop()
		return err
	}
	telling, told := context.WithCancel(context.Background())
	h.told = told
	h.tells.Go(func() { slow.tell(telling, c.Logger) })
	h.broker.Select = handler.Select
	h.server = &http.Server{
		Handler: handler, ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn),
	}
	api.Configure(h.server)
	return nil
}

// inMemory is how much a broker keeps that has no log.
func inMemory(rules []Retention) (all sse.Retention, topics []sse.Retention) {
	for _, r := range rules {
		rule := sse.Retention{Pattern: r.Pattern, Events: int(r.Events), Bytes: r.Bytes, Age: r.Age}
		if r.Pattern == (sse.Pattern{}) {
			all = rule
			continue
		}
		topics = append(topics, rule)
	}
	return all, topics
}

// serve serves on all listeners, and says if one of them fails.
func (h *Hub) serve(listeners []net.Listener) <-chan error {
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		h.serves.Go(func() { // until the server is closed
			if err := h.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("sse: serving on %s: %w", l.Addr(), err)
			}
		})
	}
	return failed
}

// started says where the hub is.
func (h *Hub) started(listeners []net.Listener) Started {
	host, _, _ := net.SplitHostPort(h.config.Addr)
	port := strconv.Itoa(listeners[0].Addr().(*net.TCPAddr).Port)
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	addr := net.JoinHostPort(host, port)
	return Started{URL: "http://" + addr, Addr: addr, Data: h.config.Data}
}

// writeAddr writes the file with the address, in one step: who reads it never sees
// half of it.
func (h *Hub) writeAddr(addr string) error {
	name := h.config.AddrFile
	if name == "" {
		return nil
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	err := os.WriteFile(temporary, []byte(addr+"\n"), 0o644)
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		return &Error{Text: "cannot write the address: " + bare(err), Err: err,
			Hint: "--addr-file is a file in a directory that is there, and that you may write to"}
	}
	return nil
}

// shutdown ends everything but the log. It takes as long as grace, or until hurry is
// done.
func (h *Hub) shutdown(hurry context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(hurry, grace)
	defer cancel()
	h.stop() // those who publish line by line are told what was kept
	var wait sync.WaitGroup
	wait.Go(func() {
		// Closes the listeners first. Requests that are under way have until ctx is
		// done; streams are none of them, or end with the broker.
		if h.server.Shutdown(ctx) != nil {
			_ = h.server.Close()
		}
	})
	// From here on no request comes in: the broker would refuse it with an error, after
	// which an EventSource does not come back.
	h.serves.Wait()
	err := h.broker.Shutdown(ctx)
	wait.Wait()
	h.told() // of those, too, that were too slow for their farewell
	h.tells.Wait()
	if h.config.AddrFile != "" {
		_ = os.Remove(h.config.AddrFile)
	}
	if err != nil && ctx.Err() != nil {
		// That some peers did not take their farewell is no failure of the hub.
		h.config.Logger.Info(bare(err))
		err = nil
	}
	return err
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// bare is the text of an error without the prefix that all have.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "sse: ") }
