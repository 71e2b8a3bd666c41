package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

const (
	defaultHeartbeat    = 15 * time.Second
	defaultWriteTimeout = 30 * time.Second
)

// The wire form of a heartbeat that is a comment, without and with an empty line
// after it.
const (
	heartbeatLine  = ":\n"
	heartbeatBlock = ":\n\n"
)

// AcceptOptions configures a [Stream]. The zero value works.
type AcceptOptions struct {
	// Heartbeat is the time without a write after which the stream sends a
	// heartbeat: a comment, or an event if HeartbeatEvent is set. Heartbeats
	// prevent clients and proxies from mistaking silence for a lost connection. If
	// zero, 15 seconds. If negative, the stream sends no heartbeats. Then proxies
	// may close an idle stream, and the server may not notice a peer that has
	// vanished.
	Heartbeat time.Duration

	// HeartbeatEvent, if not empty, is the type of the heartbeats. The heartbeats are
	// then events with empty data. A script in a browser can listen for this type,
	// and notice when heartbeats stop. The type must not begin with "sse.". If empty,
	// heartbeats are comments, which clients ignore.
	HeartbeatEvent string

	// HeartbeatBlock adds an empty line after each heartbeat. Some clients process
	// their input only when an empty line arrives. If HeartbeatBlock is set,
	// HeartbeatEvent must be empty.
	HeartbeatBlock bool

	// WriteTimeout limits how long the peer may take to accept each 16 KiB of a
	// write. If the peer exceeds the limit, the stream ends with [ErrPeerGone]. If
	// zero, 30 seconds. If negative, there is no limit.
	//
	// When a peer vanishes without closing the connection, small writes still
	// succeed, so WriteTimeout does not notice the loss. The server notices the loss
	// only when TCP stops retransmitting: on Linux after about 15 minutes. With
	// [ConnContext], on Linux and for HTTP/1, the server notices the loss after
	// Heartbeat + WriteTimeout.
	WriteTimeout time.Duration

	// Retry is the time that the client should wait before it reconnects. The stream
	// begins with a retry field that has this value. If zero, the client decides. A
	// server with many clients should draw a random time for each client, so that the
	// clients do not all reconnect at the same time.
	Retry time.Duration

	// Done ends the stream with [ErrShutdown] when the channel is closed. Close the
	// channel in a function that you register with
	// [http.Server.RegisterOnShutdown]. Otherwise [http.Server.Shutdown] waits for
	// every open stream. If Done is nil, the stream does not end when the server
	// shuts down.
	Done <-chan struct{}

	// Final, if not nil, is the last event. [Stream.Close] sends Final, and so does
	// the stream when Done is closed. [Stream.Abort] does not send it. If Final
	// means that the answer is complete, a handler must call Abort after an error
	// or a panic. With such a Final, Done must be nil, because a shutdown would send
	// Final in the middle of an answer.
	Final *Event

	// Logger receives a record when a stream cannot be opened, when a handler has
	// returned without calling Close or Abort, and when the stream cannot set the
	// write deadlines that WriteTimeout needs. If ConnContext is installed, Logger
	// also receives a record when the stream cannot set the socket option that
	// [ConnContext] describes. If nil, nothing is logged.
	Logger *slog.Logger
}

// withDefaults returns a copy of o, which may be nil, with the defaults filled
// in.
func (o *AcceptOptions) withDefaults() AcceptOptions {
	opts := AcceptOptions{}
	if o != nil {
		opts = *o
	}
	if opts.Heartbeat == 0 {
		opts.Heartbeat = defaultHeartbeat
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = defaultWriteTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts
}

// Accept responds to the request with an event stream. It sends the response header
// and the first bytes of the body at once, because some proxies forward the header
// only together with a part of the body. From then on, the stream sends heartbeats,
// and the WriteTimeout of [http.Server] no longer applies. A nil opts means the
// zero AcceptOptions.
//
// Call Accept once for a request, before anything else is written. A handler that
// needs the request's body must read the body before it calls Accept. On HTTP/1,
// net/http discards the part of the body that the handler has not read. If that
// part is too large to discard, net/http does not notice when the peer disconnects.
//
// If Accept fails, it has already written the response, so the handler should just
// return. The status is 500 if the stream cannot begin, and 200 if the stream began
// and then failed. For a HEAD request, Accept sends the header of a stream with
// status 200, and returns an error that wraps [http.ErrBodyNotAllowed].
//
// The error is a [*WriterError] if middleware has wrapped w in a type that cannot
// stream. If w has an Unwrap method, Accept also uses the methods of the writer
// that Unwrap returns, and so on. The innermost of these writers must have a Flush
// method. If middleware compresses the response, the writer of that middleware must
// have a Flush method, too. If the server has a WriteTimeout, one of the writers must
// have a method SetWriteDeadline.
//
// The response also carries the header fields that the handler has set. But Accept
// removes Content-Length, and sets Content-Type, Cache-Control, X-Accel-Buffering
// and Incremental itself.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Stream, error) {
	options := opts.withDefaults()
	return accept(w, r, &options, &Stream{}, nil)
}

// accept does the work of Accept: it begins the new stream s. The first bytes of the
// stream end with initial. opts must have its defaults filled in (see withDefaults).
func accept(
	w http.ResponseWriter, r *http.Request, opts *AcceptOptions, s *Stream, initial []byte,
) (*Stream, error) {
	s.opts = opts
	s.w, s.rc = w, http.NewResponseController(w)
	s.mu = newChanMutex()
	first, err := s.prepare(r, initial)
	if err != nil {
		s.opts.Logger.Error("sse: stream refused", "path", r.URL.Path, "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, err
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // for nginx, and proxies that adopted it
	header.Set("Incremental", "?1")       // RFC 10036: for all other proxies
	header.Del("Content-Length")
	if s.brokerOwned && r.ProtoMajor == 1 && r.Method != http.MethodHead {
		// The broker closes the connection when a parked stream ends, and at
		// Shutdown. So a proxy must not put the connection into a pool. (On HTTP/2,
		// the field would close a connection that carries other streams, too.)
		header.Set("Connection", "close")
	}
	s.hasBody = r.ProtoMajor == 1 && r.ContentLength != 0
	s.limitBody()
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil, fmt.Errorf("sse: no stream for a HEAD request: %w", http.ErrBodyNotAllowed)
	}
	if err := s.begin(r, first); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare checks everything that can be checked before the status line is sent.
// It returns the first bytes of the stream, which end with initial.
func (s *Stream) prepare(r *http.Request, initial []byte) ([]byte, error) {
	var err error
	if s.heartbeat, err = s.opts.heartbeatBytes(); err != nil {
		return nil, fmt.Errorf("sse: AcceptOptions.%w", err)
	}
	if s.opts.Final != nil {
		if s.final, err = AppendEvent(nil, *s.opts.Final); err != nil {
			return nil, fmt.Errorf("sse: AcceptOptions.Final: %w", err)
		}
	}
	if s.brokerOwned {
		// The broker has read the last event ID from the request.
	} else if s.lastEventID = r.Header.Get("Last-Event-ID"); s.lastEventID == "" {
		s.lastEventID = r.URL.Query().Get("lastEventId")
	}
	first := []byte(heartbeatLine)
	switch {
	case s.opts.Retry < 0:
		return nil, fmt.Errorf("sse: AcceptOptions.Retry must not be negative: %v", s.opts.Retry)
	case s.opts.Retry > 0:
		first = append(wire.AppendRetry(nil, s.opts.Retry), '\n')
	case len(initial) > 0:
		first = nil
	}
	first = append(first, initial...)
	if s.flushers, err = findFlushers(s.w); err != nil {
		return nil, err
	}
	return first, s.probeDeadlines(r)
}

// begin starts to watch the request's context and AcceptOptions.Done, sends the
// first bytes, and starts the heartbeats.
func (s *Stream) begin(r *http.Request, first []byte) error {
	request := r.Context()
	s.multiplexed = r.ProtoMajor > 1
	if s.brokerOwned {
		s.ctx, s.cancel = request, s.setCause
		s.stopRequest = func() bool { return true }
	} else {
		s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(request))
		s.stopRequest = context.AfterFunc(request, func() { s.cancel(s.requestCause(request)) })
	}
	if s.opts.WriteTimeout > 0 && r.ProtoMajor == 1 {
		s.restoreSocket = limitUnacknowledged(request, s.opts.WriteTimeout, s.opts.Logger)
	}
	if s.opts.Done != nil {
		s.goroutines.Go(s.watchDone)
	}
	s.mu.Lock()
	err := s.writeLocked(first)
	s.removeBodyLimit()
	if s.watched && s.expires != 0 && s.deadlines {
		s.rc.SetWriteDeadline(time.Unix(0, s.expires))
	}
	if err == nil && s.opts.Heartbeat > 0 {
		s.timer = time.AfterFunc(s.opts.Heartbeat, s.sendHeartbeat)
	}
	s.mu.Unlock()
	if err != nil {
		s.Close()
	}
	return err
}

// heartbeatBytes returns the heartbeat in wire form. Its error begins with the
// name of a field of AcceptOptions.
func (o *AcceptOptions) heartbeatBytes() ([]byte, error) {
	switch {
	case o.HeartbeatEvent == "" && o.HeartbeatBlock:
		return []byte(heartbeatBlock), nil
	case o.HeartbeatEvent == "":
		return []byte(heartbeatLine), nil
	case o.HeartbeatBlock:
		return nil, errors.New("HeartbeatEvent and HeartbeatBlock must not both be set")
	case strings.HasPrefix(o.HeartbeatEvent, reservedPrefix):
		return nil, fmt.Errorf("HeartbeatEvent %q must not begin with %q: this package uses such types",
			shorten(o.HeartbeatEvent), reservedPrefix)
	}
	heartbeat, err := AppendEvent(nil, Event{Type: o.HeartbeatEvent})
	if err != nil {
		return nil, fmt.Errorf("HeartbeatEvent: %w", err)
	}
	return heartbeat, nil
}

// findFlushers returns the functions to call, in order, to flush all written bytes
// to the network. It is not always enough to flush the outermost writer that can
// flush. Many wrappers forward a flush only if the writer that they wrap has a
// Flush method. If that writer has an Unwrap method instead, they do nothing.
//
//	gin: Flush  →  a logger: Unwrap  →  the server's own: Flush
//	     called                                           called, too
//
// So findFlushers returns the flush function of the first writer that can flush,
// and of each further writer that can flush and comes right after a writer that
// cannot. If the innermost writer cannot flush, findFlushers returns an error, because
// the writers around it would report success although nothing is flushed.
func findFlushers(w http.ResponseWriter) ([]func() error, error) {
	var flushers []func() error
	flushable, lastFlushes := 0, false // how many writers can flush, and whether the last one can
	writers := unwrapAll(w)
	for _, w := range writers {
		flush := flushMethod(w)
		if flush != nil {
			flushable++
			if !lastFlushes {
				flushers = append(flushers, flush)
			}
		}
		lastFlushes = flush != nil
	}
	innermost := writers[len(writers)-1]
	switch {
	case !lastFlushes:
		return nil, &WriterError{Type: fmt.Sprintf("%T", innermost), Missing: "Flush"}
	case flushable == 1 && len(writers) > 1 && len(contentCodings(w.Header())) > 0:
		// The response has a content coding, so one of the wrappers compresses. But
		// only the innermost writer can flush. So the bytes in the buffer of the
		// wrapper that compresses would stay there.
		return nil, &WriterError{Type: fmt.Sprintf("%T", w), Missing: "Flush", compresses: true}
	}
	return flushers, nil
}

// unwrapAll returns w and the writers that it wraps, the innermost last.
func unwrapAll(w http.ResponseWriter) []http.ResponseWriter {
	writers := []http.ResponseWriter{w}
	for {
		t, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return writers
		}
		w = t.Unwrap()
		writers = append(writers, w)
	}
}

// flushMethod returns the method that flushes w itself, or nil.
func flushMethod(w http.ResponseWriter) func() error {
	switch t := w.(type) {
	case interface{ FlushError() error }:
		return t.FlushError
	case http.Flusher:
		return func() error { t.Flush(); return nil }
	}
	return nil
}

// probeDeadlines sets s.deadlines to whether write deadlines work. If they do not
// work and the server has a WriteTimeout, it returns an error, because that timeout
// would end the stream. If the server has no WriteTimeout, it only logs a warning.
func (s *Stream) probeDeadlines(r *http.Request) error {
	err := s.rc.SetWriteDeadline(time.Time{})
	if s.deadlines = !errors.Is(err, http.ErrNotSupported); s.deadlines {
		return nil
	}
	writers := unwrapAll(s.w)
	innermost := fmt.Sprintf("%T", writers[len(writers)-1])
	culprit := &WriterError{Type: innermost, Missing: "SetWriteDeadline"}
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server != nil && server.WriteTimeout > 0 {
		return culprit
	}
	s.opts.Logger.Warn("sse: a peer that stops reading will not be noticed",
		"path", r.URL.Path, "error", culprit)
	return nil
}

// limitBody limits how long net/http waits for a request body that the handler has
// not read. On HTTP/1, net/http reads the rest of the body before it sends the
// response header, and again when the handler has returned. For the next request,
// net/http sets its own deadlines.
func (s *Stream) limitBody() {
	if s.hasBody && s.opts.WriteTimeout > 0 {
		// An error means that w has no read deadlines, so there is no limit.
		_ = s.rc.SetReadDeadline(time.Now().Add(s.opts.WriteTimeout))
	}
}

// removeBodyLimit removes the deadline that limitBody has set, because this
// deadline would end the stream.
func (s *Stream) removeBodyLimit() {
	if s.hasBody && s.opts.WriteTimeout > 0 {
		_ = s.rc.SetReadDeadline(time.Time{})
	}
}
