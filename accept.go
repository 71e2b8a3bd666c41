package sse

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

const (
	defaultHeartbeat    = 15 * time.Second
	defaultWriteTimeout = 30 * time.Second
)

// HeartbeatForm is what a stream sends so that silence is not mistaken for a
// lost connection: the comment ":\n", or ":\n\n" for readers of whole blocks, or
// else the event whose type it names, with empty data. Comments are seen by
// nothing but the connection; an event is seen by scripts in a browser too, which
// may watch for it.
type HeartbeatForm string

const (
	heartbeatLine  HeartbeatForm = ":\n"
	heartbeatBlock HeartbeatForm = ":\n\n"
)

// AcceptOptions adjusts a [Stream].
type AcceptOptions struct {
	// Heartbeat is the silence after which a heartbeat is sent. If zero, 15
	// seconds. If negative, none is sent: proxies will cut the stream when it
	// is idle, and a peer that has vanished is not noticed.
	Heartbeat time.Duration

	// HeartbeatForm is what is sent then. If empty, a comment line.
	HeartbeatForm HeartbeatForm

	// WriteTimeout is how long the peer may take nothing of what is being sent
	// to it, 16 KiB at a time, until the stream is cut with [ErrPeerGone]. If
	// zero, 30 seconds. If negative, for ever.
	//
	// A peer that has vanished without a trace takes small events, heartbeats
	// too, for as long as the kernel's buffers have room: days. Install
	// [ConnContext] to have it noticed after Heartbeat + WriteTimeout.
	WriteTimeout time.Duration

	// Retry, if not zero, is sent first: how long the client is to wait before
	// it reconnects. A server with many clients draws it at random for each.
	Retry time.Duration

	// Done ends the stream with [ErrShutdown] when it is closed. It is for
	// [http.Server.RegisterOnShutdown], without which a server with one stream
	// open never shuts down.
	Done <-chan struct{}

	// Final, if not nil, is sent last: by Close, and when Done is closed. It is
	// not the place for an event that says all went well, as a handler that
	// fails half-way closes the stream too.
	Final *Event

	// Logger is told what prevents a stream, or makes it less safe. If nil,
	// nothing is logged.
	Logger *slog.Logger
}

// withDefaults returns a copy of o, which may be nil, that has no zero values
// where a default stands in for them.
func (o *AcceptOptions) withDefaults() AcceptOptions {
	opts := AcceptOptions{}
	if o != nil {
		opts = *o
	}
	if opts.Heartbeat == 0 {
		opts.Heartbeat = defaultHeartbeat
	}
	if opts.HeartbeatForm == "" {
		opts.HeartbeatForm = heartbeatLine
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = defaultWriteTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts
}

// Accept answers the request with an event stream: it sends the headers and a
// first byte at once, which proxies wait for. From then on heartbeats are sent
// in silence, and http.Server's WriteTimeout no longer applies.
//
// It follows the Unwrap methods of w's wrappers. If the innermost cannot flush,
// or one that compresses cannot, or if the server has a WriteTimeout and none
// lets it be lifted, the error is a [*WriterError] that names the culprit's type.
// Whatever the error, it is returned after the response has been written, with
// status 500 unless the stream had begun: a handler has only to return. If opts
// is nil, it is as if all fields were zero.
//
// It is called once for a request, before anything else is written. A body that
// the handler needs is read before: on HTTP/1 net/http drops the rest, and does not
// notice a peer that leaves while too much of it is left.
//
// Headers that the handler has set before are sent too, but for those that
// make the response a stream: Content-Type, Cache-Control, X-Accel-Buffering.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Stream, error) {
	own := opts.withDefaults()
	return accept(w, r, &own, &Stream{}, nil)
}

// accept is Accept with more to be sent at once, for a stream that is new. The
// options have their defaults.
func accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions, s *Stream, more []byte) (
	*Stream, error) {
	s.opts = opts
	s.w, s.rc = w, http.NewResponseController(w)
	s.mu = newLock()
	first, err := s.prepare(r, more)
	if err != nil {
		s.opts.Logger.Error("sse: stream refused", "path", r.URL.Path, "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, err
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx, and those who took it over
	header.Del("Content-Length")
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

// prepare checks everything that can be checked before the status line. It
// returns the first bytes of the stream, of which more are the last.
func (s *Stream) prepare(r *http.Request, more []byte) ([]byte, error) {
	var err error
	if s.heartbeat, err = heartbeatBytes(s.opts.HeartbeatForm); err != nil {
		return nil, fmt.Errorf("sse: AcceptOptions.HeartbeatForm: %w", err)
	}
	if s.opts.Final != nil {
		if s.final, err = AppendEvent(nil, *s.opts.Final); err != nil {
			return nil, fmt.Errorf("sse: AcceptOptions.Final: %w", err)
		}
	}
	if s.bare {
		// A broker knows where to begin.
	} else if s.lastEventID = r.Header.Get("Last-Event-ID"); s.lastEventID == "" {
		s.lastEventID = r.URL.Query().Get("lastEventId")
	}
	first := []byte(heartbeatLine)
	switch {
	case s.opts.Retry < 0:
		return nil, fmt.Errorf("sse: AcceptOptions.Retry is negative: %v", s.opts.Retry)
	case s.opts.Retry > 0:
		first = append(wire.AppendRetry(nil, s.opts.Retry), '\n')
	case len(more) > 0:
		first = nil
	}
	first = append(first, more...)
	if s.flushers, err = findFlushers(s.w); err != nil {
		return nil, err
	}
	return first, s.probeDeadlines(r)
}

// heartbeatBytes is what is sent as a heartbeat.
func heartbeatBytes(form HeartbeatForm) ([]byte, error) {
	if form == heartbeatLine || form == heartbeatBlock {
		return []byte(form), nil
	}
	return AppendEvent(nil, Event{Type: string(form)})
}

// findFlushers finds what to call, in order, so that all that was written
// reaches the network. One call to the outermost wrapper that can flush is not
// always enough: many pass it on only if the next one can flush by itself, and
// do nothing if that has an Unwrap instead.
//
//	gin: Flush  →  a logger: Unwrap  →  the server's own: Flush
//	     called                                           called, too
//
// So the first after each gap is called as well, and the innermost must be able
// to flush: or else those around it report what does not happen.
func findFlushers(w http.ResponseWriter) ([]func() error, error) {
	var flushers []func() error
	able, last := 0, false // those that can flush, and whether the last one can
	writers := unwrapAll(w)
	for _, w := range writers {
		flush := flusherOf(w)
		if flush != nil {
			able++
			if !last {
				flushers = append(flushers, flush)
			}
		}
		last = flush != nil
	}
	innermost := writers[len(writers)-1]
	switch {
	case !last:
		return nil, &WriterError{Type: fmt.Sprintf("%T", innermost), Missing: "Flush"}
	case able == 1 && len(writers) > 1 && isEncoded(w.Header()):
		// One of the wrappers compresses, and Unwrap leads past it.
		return nil, &WriterError{Type: fmt.Sprintf("%T", w), Missing: "Flush", encodes: true}
	}
	return flushers, nil
}

// unwrapAll returns w and what it wraps, the innermost last.
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

// flusherOf returns the method that flushes w itself, or nil.
func flusherOf(w http.ResponseWriter) func() error {
	switch t := w.(type) {
	case interface{ FlushError() error }:
		return t.FlushError
	case http.Flusher:
		return func() error { t.Flush(); return nil }
	}
	return nil
}

// isEncoded reports whether a middleware has declared that it compresses.
func isEncoded(header http.Header) bool {
	encoding := header.Get("Content-Encoding")
	return encoding != "" && encoding != "identity"
}

// probeDeadlines finds out whether write deadlines work.
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
