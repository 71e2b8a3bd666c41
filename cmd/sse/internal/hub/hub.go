// Package hub is the server of "sse serve". It builds a hub from its parts,
// runs it and shuts it down:
//
//	hub.New(config) → Run(ctx)
//
//	log ◄── broker ◄── api ◄── http.Server ◄── listeners
//
// A request passes these parts from right to left. When ctx is done, the hub first
// closes the listeners, so that another process can listen on the port. Then it
// sends a random delay on each stream, and ends the stream. The client waits for
// this delay before it reconnects. Last, the hub closes the log, and so releases the
// lock of the data directory.
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
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// Hub is a hub. It can run only once.
type Hub struct {
	config Config
	disk   *segmentlog.Log // nil if the events are in memory
	broker *sse.Broker
	server *http.Server

	cancelRequests context.CancelFunc // cancels api.Options.Closing
	servers        sync.WaitGroup     // the goroutines that accept connections
	connections    *connections
	spacedLog      *spacedLog
	stopLagLog     context.CancelFunc
	lagLogRun      sync.WaitGroup // the goroutine of lagLog.run
}

// New returns a hub that does not run yet, or an *Error if config is invalid.
func New(config Config) (*Hub, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	h := &Hub{config: config.withDefaults()}
	h.spacedLog = newSpacedLog(h.config.Logger.Handler())
	h.config.Logger = slog.New(h.spacedLog)
	return h, nil
}

// Run serves until ctx is done, and then shuts down. At shutdown, it waits up to
// Config.Grace for requests and streams to end, and then until the log is closed. Run
// returns an error if the hub cannot start, a listener fails, or the log cannot be
// closed. Otherwise it returns nil. If ctx is done before the hub serves, that is not
// an error.
func (h *Hub) Run(ctx context.Context) (err error) {
	defer h.spacedLog.flush()
	if h.config.Data != Memory {
		if h.disk, err = openLog(ctx, &h.config); err != nil {
			if ctx.Err() != nil {
				return nil // ctx ended the wait for another hub
			}
			return err
		}
		defer func() { err = errors.Join(err, h.disk.Close()) }()
	}
	if ctx.Err() != nil {
		return nil // ctx was canceled while the log was opened
	}
	listeners, err := listen(ctx, h.config.Addr)
	if err != nil {
		return err
	}
	if err := h.build(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	failed := h.serve(listeners)
	started := h.newStarted(listeners)
	if err := h.writeAddr(started.Addr); err != nil {
		return errors.Join(err, h.shutdown(0))
	}
	if h.config.Ready != nil {
		h.config.Ready(started)
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, h.shutdown(h.config.Grace))
}

// build creates the broker, the API and the server. It also starts the goroutine of the
// lagLog, which shutdown ends.
func (h *Hub) build() error {
	c := &h.config
	authority, err := auth.New(c.Keys, nil)
	if err != nil {
		return err
	}
	lag := &lagLog{wake: make(chan struct{}, 1)}
	h.broker = &sse.Broker{
		Park:         true,
		Streams:      sse.StreamOptions{Heartbeat: c.Heartbeat},
		Logger:       c.Logger,
		OnDisconnect: lag.onDisconnect,
	}
	var checkLog func(context.Context) api.LogHealth
	if h.disk != nil {
		health := newDiskHealth(h.disk, c.Data, c.Logger)
		h.broker.Log, checkLog = health, health.check
	} else {
		h.broker.Retention, h.broker.TopicRetention = memoryRetention(c.Retention)
	}
	closing, cancelRequests := context.WithCancel(context.Background())
	h.cancelRequests = cancelRequests
	host, _, _ := net.SplitHostPort(c.Addr)
	requests := newRequestCache(c.KeyWindow, c.Logger)
	handler, err := api.New(api.Options{
		Broker:    h.broker,
		Log:       &publisher{broker: h.broker, disk: h.disk, requests: requests},
		CheckLog:  checkLog,
		Authority: authority,
		Hosts:     c.Hosts, Origins: c.Origins, MaxEvent: c.MaxEvent, Closing: closing,
		MaxInflight: c.MaxInflight,
		// If the hub has keys, a request with any host name is harmless. By DNS
		// rebinding, a web page can send requests under a name of its own, but it
		// has no key.
		AnyHost:       len(c.Hosts) == 0 && len(c.Keys) > 0 && !isLoopback(host),
		RefuseProxies: len(c.Keys) == 0 && !c.Insecure,
		OnRefused: func(subject, flag string) {
			c.Logger.Warn(subject+" was refused", slog.String("hint", flag+" allows it"))
		},
		OnError: func(err error) {
			c.Logger.Error("a request failed", "error", text.WithoutPrefix(err))
		},
	})
	if err != nil {
		cancelRequests()
		return err
	}
	ctx, stopLagLog := context.WithCancel(context.Background())
	h.stopLagLog = stopLagLog
	h.lagLogRun.Go(func() { lag.run(ctx, c.Logger) })
	h.broker.Select = handler.Select
	h.server = &http.Server{
		Handler: handler, ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn),
	}
	api.Configure(h.server)
	h.connections = &connections{max: c.MaxConnections, logger: c.Logger}
	h.connections.configure(h.server, h.broker)
	return nil
}

// memoryRetention returns rules in the form that a broker needs if it stores its
// events in memory: the limits of all topics together, and the limits of each topic.
func memoryRetention(rules []Retention) (all sse.Retention, topics []sse.TopicRetention) {
	for _, r := range rules {
		if r.Pattern == (sse.Pattern{}) {
			all.Events = strictest(all.Events, int(r.Events))
			all.Bytes = strictest(all.Bytes, r.Bytes)
			all.Age = strictest(all.Age, r.Age)
			continue
		}
		topics = append(topics, sse.TopicRetention{
			Pattern: r.Pattern, Events: int(r.Events), Bytes: r.Bytes, Age: r.Age,
		})
	}
	return all, topics
}

// strictest returns the smaller of two limits. A limit that is not positive is ignored
// if the other limit is positive.
func strictest[T int | int64 | time.Duration](a, b T) T {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// serve starts to serve on all listeners. If a listener fails, the returned channel
// receives the error.
func (h *Hub) serve(listeners []net.Listener) <-chan error {
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		h.servers.Go(func() { // ends when the server is closed
			limited := newLimitedListener(l, h.connections)
			if err := h.server.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("sse: serving on %s: %w", l.Addr(), err)
			}
		})
	}
	return failed
}

// newStarted returns the description of a hub that serves on these listeners. If the
// hub listens on all addresses, the description has localhost as the host.
func (h *Hub) newStarted(listeners []net.Listener) Started {
	host, _, _ := net.SplitHostPort(h.config.Addr)
	port := strconv.Itoa(listeners[0].Addr().(*net.TCPAddr).Port)
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	addr := net.JoinHostPort(host, port)
	return Started{
		URL: "http://" + addr, Addr: addr, Data: h.config.Data, Keys: len(h.config.Keys) > 0,
	}
}

// writeAddr writes the address to Config.AddrFile. It replaces the file
// atomically, so that a reader never sees half of the address.
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
		return &Error{Text: "cannot write the address: " + text.WithoutPrefix(err), Err: err,
			Hint: "--addr-file must name a file in an existing directory that you may write to"}
	}
	return nil
}

// shutdown ends everything except the log. It waits up to grace for requests
// and streams to end, and then ends the rest.
func (h *Hub) shutdown(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	h.cancelRequests() // ends, for example, requests that publish lines as they arrive
	var wait sync.WaitGroup
	wait.Go(func() {
		// Server.Shutdown closes the listeners first. Then it waits for requests
		// until ctx is done. It does not wait for parked streams, which it does not
		// know. The requests of other streams end when the broker shuts down.
		if h.server.Shutdown(ctx) != nil {
			_ = h.server.Close()
		}
	})
	// Wait until no new connection can arrive before the broker shuts down. A broker
	// that shuts down answers a new subscriber with an error, and an EventSource does
	// not reconnect after an error response.
	h.servers.Wait()
	err := h.broker.Shutdown(ctx)
	wait.Wait()
	h.stopLagLog() // only now, because subscribers may lag until the broker has ended
	h.lagLogRun.Wait()
	if h.config.AddrFile != "" {
		_ = os.Remove(h.config.AddrFile)
	}
	if err != nil && ctx.Err() != nil {
		// The broker has ended all streams, but some peers did not read the end
		// of their stream in time. This is not an error of the hub.
		h.config.Logger.Info(text.WithoutPrefix(err))
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
