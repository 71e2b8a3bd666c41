package sse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

const (
	// pieceSize is how much is written under one deadline: a peer that takes
	// less than that in WriteTimeout counts as taking nothing. Below it, the
	// sizes in which kernels report room would decide.
	pieceSize = 16 << 10

	// shutdownGrace is how long writes may go on when the server shuts down.
	shutdownGrace = time.Second
)

// Stream is one response that carries events. Its methods are safe for
// concurrent use.
//
// A handler must call Close before it returns, best with defer: heartbeats are
// sent from another goroutine, and once its handler has returned a
// ResponseWriter must not be used; a heartbeat could land in another response.
type Stream struct {
	opts        *AcceptOptions // with defaults; shared if bare
	w           http.ResponseWriter
	rc          *http.ResponseController
	flushers    []func() error // of w and what it wraps, outermost first
	lastEventID string
	heartbeat   []byte
	final       []byte
	deadlines   bool // w can set write deadlines
	hasBody     bool // the request does, on HTTP/1

	// A bare stream is a broker's, which needs no context of the stream's own: ctx is
	// the request's, and cause is set when the stream ends for another reason.
	bare  bool
	cause atomic.Pointer[error]

	ctx         context.Context // canceled when the stream ends; its cause says why
	cancel      context.CancelCauseFunc
	stopRequest func() bool // stops watching the request's context
	restore     func()      // of the socket's options
	watcher     sync.WaitGroup
	ending      atomic.Pointer[ending] // set when the stream is to end soon

	mu        lock // guards the following, and every use of w and rc
	buf       []byte
	lastWrite time.Time
	timer     *time.Timer // of the next heartbeat; nil if there are none
}

// ending is why a stream ends, and until when what is being written may be.
type ending struct {
	deadline time.Time
	cause    error
}

// begin starts to watch for what ends the stream, sends its first bytes, and
// starts the heartbeats.
func (s *Stream) begin(r *http.Request, first []byte) error {
	request := r.Context()
	if s.bare {
		s.ctx, s.cancel = request, s.end
		s.stopRequest = func() bool { return true }
	} else {
		s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(request))
		s.stopRequest = context.AfterFunc(request, func() { s.cancel(s.why(request)) })
	}
	if s.opts.WriteTimeout > 0 && r.ProtoMajor == 1 {
		s.restore = limitUnacknowledged(request, s.opts.WriteTimeout, s.opts.Logger)
	}
	if s.opts.Done != nil {
		s.watcher.Go(s.watchDone)
	}
	s.mu.Lock()
	err := s.writeLocked(first)
	s.liftBodyLimit()
	if err == nil && s.opts.Heartbeat > 0 {
		s.timer = time.AfterFunc(s.opts.Heartbeat, s.beat)
	}
	s.mu.Unlock()
	if err != nil {
		s.Close()
	}
	return err
}

// why is why the request's context is done.
func (s *Stream) why(request context.Context) error {
	cause := context.Cause(request)
	switch end := s.ending.Load(); {
	case !errors.Is(cause, context.Canceled): // which is what net/http says
		return cause
	case end != nil:
		return end.cause
	}
	return ErrPeerGone
}

// end is cancel for a bare stream.
func (s *Stream) end(cause error) { s.cause.CompareAndSwap(nil, &cause) }

// over is why the stream has ended, or nil.
func (s *Stream) over() error {
	switch cause := s.cause.Load(); {
	case cause != nil:
		return *cause
	case s.ctx.Err() == nil:
		return nil
	case s.bare:
		return s.why(s.ctx)
	}
	return context.Cause(s.ctx)
}

// lock is a mutual exclusion that may be held for long: a goroutine that waits
// for it while another waits for the peer is durably blocked in the sense of
// testing/synctest, as it would not be with a sync.Mutex, and fake time goes on.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// Context is done when the stream has ended. [context.Cause] says why:
// [ErrPeerGone], [ErrShutdown] or [ErrClosed], or the cause of the request's
// context if that was canceled for a reason of its own, such as a timeout. Its
// values are those of the request.
func (s *Stream) Context() context.Context { return s.ctx }

// LastEventID is the ID of the last event that the client has seen, or empty:
// from the Last-Event-ID header, or from the query parameter lastEventId for
// clients that cannot set a header.
func (s *Stream) LastEventID() string { return s.lastEventID }

// Send sends the events, in order, with one write and one flush. Without
// events it does nothing.
//
// It blocks while another Send does, and while the peer's buffers are full: up
// to WriteTimeout for each 16 KiB.
// If an event cannot be encoded, the error is a [*FieldError], and nothing is
// sent. All other errors are final, and wrap what ended the stream, as the cause
// of its context does.
func (s *Stream) Send(events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	buf, err := appendEvents(s.buf[:0], events)
	if err != nil {
		return err
	}
	return s.writeBufferLocked(buf)
}

// SendJSON sends the event with the JSON encoding of v as its data, which must
// be empty. If v cannot be encoded, the error wraps that of encoding/json and
// nothing is sent. Otherwise it is as Send.
func (s *Stream) SendJSON(event Event, v any) error {
	if event.Data != "" {
		return errors.New("sse: SendJSON: the event has data of its own")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sse: SendJSON: %w", err)
	}
	event.Data = string(data)
	return s.Send(event)
}

// Comment sends text as a comment, which clients ignore: one line for each
// line of it. It blocks and fails as Send does.
func (s *Stream) Comment(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeBufferLocked(wire.AppendLines(s.buf[:0], "", text))
}

// sendRaw sends bytes that are shared and must not change.
func (s *Stream) sendRaw(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(p)
}

// sendLast is sendRaw for a stream that is to end soon.
func (s *Stream) sendLast(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.over(); err != nil {
		return err
	}
	return s.transmitLocked(p)
}

// Close ends the stream. It sends AcceptOptions.Final, if there is one and the
// stream has not ended already, and returns the error of that. When it has
// returned, nothing uses the ResponseWriter any more: the handler may return,
// which lets net/http end the response. It waits for a write that is under
// way. Closing again does nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	err := s.endLocked(ErrClosed)
	s.releaseLocked()
	s.mu.Unlock()
	s.watcher.Wait()
	return err
}

// endLocked sends the final frame and ends the stream for the given reason,
// if it has not ended before.
func (s *Stream) endLocked(cause error) (err error) {
	if s.over() == nil && s.final != nil {
		err = s.transmitLocked(s.final)
	}
	s.cancel(cause)
	return err
}

// releaseLocked lets go of all that the stream holds.
func (s *Stream) releaseLocked() {
	s.cancel(ErrClosed)
	s.stopRequest()
	if s.timer != nil {
		s.timer.Stop()
	}
	// net/http has the end of the response to write yet, and clears the
	// deadline after it.
	s.setDeadlineLocked()
	s.limitBody()
	if s.restore != nil {
		s.restore()
		s.restore = nil
	}
}

// limitBody bounds how long net/http waits for a body that the handler has not
// read. On HTTP/1 it does that before it sends the header, and again when the
// handler has returned, after which it sets deadlines of its own.
func (s *Stream) limitBody() {
	if s.hasBody && s.opts.WriteTimeout > 0 {
		// Without deadlines there is no limit; probeDeadlines has said so.
		_ = s.rc.SetReadDeadline(time.Now().Add(s.opts.WriteTimeout))
	}
}

// liftBodyLimit takes the deadline back, lest it ends the stream.
func (s *Stream) liftBodyLimit() {
	if s.hasBody && s.opts.WriteTimeout > 0 {
		_ = s.rc.SetReadDeadline(time.Time{})
	}
}

// watchDone ends the stream when the server shuts down.
func (s *Stream) watchDone() {
	select {
	case <-s.ctx.Done():
		return
	case <-s.opts.Done:
	}
	s.hurry(shutdownGrace, ErrShutdown)
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.endLocked(ErrShutdown) // failing, it has ended all the same
}

// hurry makes the stream end after a time at the latest, also when it is stuck in
// a write. It must not be called once Close has returned.
func (s *Stream) hurry(d time.Duration, cause error) {
	end := &ending{time.Now().Add(d), cause}
	s.ending.Store(end)
	if s.deadlines {
		s.rc.SetWriteDeadline(end.deadline)
	}
}

// beat sends a heartbeat if there was silence, and otherwise waits for the
// rest of it: a timer that every event reset would cost more than the event.
func (s *Stream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.forgotten()
	if s.over() != nil {
		return
	}
	wait := s.opts.Heartbeat - time.Since(s.lastWrite)
	if wait <= 0 {
		if s.writeLocked(s.heartbeat) != nil {
			return
		}
		wait = s.opts.Heartbeat
	}
	s.timer.Reset(wait)
}

// forgotten keeps a handler that has returned without Close, whose writer is no
// more, from taking the whole process with it.
func (s *Stream) forgotten() {
	if p := recover(); p != nil {
		s.cancel(ErrClosed)
		s.opts.Logger.Error("sse: a handler has returned without Stream.Close", "panic", p)
	}
}

// writeBufferLocked writes what was encoded into s.buf, which it keeps.
func (s *Stream) writeBufferLocked(buf []byte) error {
	if s.buf = buf; cap(buf) > maxKeptBuffer {
		s.buf = nil
	}
	return s.writeLocked(buf)
}

// writeLocked writes and flushes p, unless the stream has ended or is about to.
func (s *Stream) writeLocked(p []byte) error {
	if err := s.over(); err != nil {
		return err
	}
	if end := s.ending.Load(); end != nil {
		return end.cause
	}
	return s.transmitLocked(p)
}

// transmitLocked writes and flushes p. A deadline stands only while it does: on
// HTTP/2 one that is left standing resets an idle stream.
func (s *Stream) transmitLocked(p []byte) error {
	if err := s.writePiecesLocked(p); err != nil {
		cause := ErrPeerGone
		switch {
		case s.ending.Load() != nil:
			cause = s.ending.Load().cause
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = fmt.Errorf("it took nothing for %v: %w", s.opts.WriteTimeout, err)
		}
		err = fmt.Errorf("%w: %w", cause, err)
		s.cancel(err)
		return err
	}
	if s.deadlines {
		s.rc.SetWriteDeadline(time.Time{})
	}
	s.lastWrite = time.Now()
	return nil
}

func (s *Stream) writePiecesLocked(p []byte) error {
	for len(p) > 0 {
		piece := p[:min(len(p), pieceSize)]
		s.setDeadlineLocked()
		if _, err := s.w.Write(piece); err != nil {
			return err
		}
		p = p[len(piece):]
	}
	for _, flush := range s.flushers {
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// setDeadlineLocked allows the next piece WriteTimeout, but no piece more than
// the time that the server's shutdown leaves.
func (s *Stream) setDeadlineLocked() {
	if !s.deadlines {
		return
	}
	end := s.ending.Load()
	deadline := time.Now().Add(s.opts.WriteTimeout)
	switch {
	case end != nil && (s.opts.WriteTimeout < 0 || end.deadline.Before(deadline)):
		deadline = end.deadline
	case s.opts.WriteTimeout < 0:
		return
	}
	s.rc.SetWriteDeadline(deadline)
	if end != s.ending.Load() { // watchDone was faster, and is overwritten
		s.setDeadlineLocked()
	}
}
