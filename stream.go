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
	// maxPieceSize is the number of bytes that are written under one deadline. A peer
	// that accepts fewer bytes within WriteTimeout counts as stalled. With smaller
	// pieces, it would depend on the kernel whether a slow peer counts as stalled,
	// because kernels do not report every free byte of a buffer immediately.
	maxPieceSize = 16 << 10

	// shutdownGrace is how long writes may continue after the server has decided to
	// end a stream, for example because it shuts down.
	shutdownGrace = time.Second
)

// Stream is an HTTP response that carries events. [Accept] returns it; the methods
// of the zero Stream return an error. The methods are safe for concurrent use.
//
// A handler must call Close or Abort before it returns, preferably with defer.
// The stream sends heartbeats from another goroutine, but a ResponseWriter must not
// be used after its handler has returned: a heartbeat could become part of
// another response.
type Stream struct {
	opts        *AcceptOptions // with defaults; if brokerOwned, the broker's streams share them
	w           http.ResponseWriter
	rc          *http.ResponseController
	flushers    []func() error // of w and the writers it wraps, outermost first
	lastEventID string
	heartbeat   []byte
	final       []byte
	deadlines   bool // w can set write deadlines
	multiplexed bool // the stream shares its connection with others (HTTP/2)
	watched     bool // the broker's timers end the stream if a write is blocked too long

	// expires is the time after which sendRaw writes nothing, in nanoseconds
	// since 1970, or 0 if there is no such time. On a watched stream, begin sets
	// expires as the write deadline, and all writes of sendRaw share this deadline.
	expires int64

	// writing is the time at which the write of the current piece (see
	// maxPieceSize) began, in nanoseconds since 1970. It is 0 while nothing is
	// written, and is set only if the stream is watched.
	writing atomic.Int64
	hasBody bool // the request has a body, on HTTP/1

	// brokerOwned means that a broker uses the stream. Such a stream needs no
	// context of its own: ctx is the context of the request. cause is set if the
	// stream ends for another reason than the end of that context.
	brokerOwned bool
	cause       atomic.Pointer[error]

	ctx           context.Context // canceled with the reason at the end; see brokerOwned
	cancel        context.CancelCauseFunc
	stopRequest   func() bool            // stops watching the request's context
	restoreSocket func()                 // restores the socket's options; nil if unchanged
	goroutines    sync.WaitGroup         // Close waits for them
	ending        atomic.Pointer[ending] // set when the stream is to end soon

	mu        chanMutex // guards the following, and every use of w and rc except in endWithin
	sending   bool      // sendRaw is writing
	buf       []byte
	lastWrite time.Time
	timer     *time.Timer // of the next heartbeat; nil if there are none
}

// errZeroStream is the error of a Stream that Accept has not returned.
var errZeroStream = errors.New("sse: a Stream must come from Accept")

// ending is the reason why a stream will end soon, and the deadline for writes.
type ending struct {
	deadline time.Time
	cause    error
}

// requestCause returns the reason why the request's context is done.
func (s *Stream) requestCause(request context.Context) error {
	cause := context.Cause(request)
	switch end := s.ending.Load(); {
	case !errors.Is(cause, context.Canceled): // the application has set the cause
		return cause
	case end != nil:
		return end.cause
	}
	return ErrPeerGone
}

// setCause is the value of the field cancel if a broker uses the stream. Only the first
// cause counts.
func (s *Stream) setCause(cause error) { s.cause.CompareAndSwap(nil, &cause) }

// endCause returns the reason why the stream has ended, or nil if it has not.
func (s *Stream) endCause() error {
	switch cause := s.cause.Load(); {
	case cause != nil:
		return *cause
	case s.ctx.Err() == nil:
		return nil
	case s.brokerOwned:
		return s.requestCause(s.ctx)
	}
	return context.Cause(s.ctx)
}

// chanMutex is a mutex that may be held for a long time, for example while a write waits
// for the peer. A goroutine that waits for a chanMutex is durably blocked in the sense
// of testing/synctest, so fake time can advance. A goroutine that waits for a sync.Mutex
// is not.
type chanMutex chan struct{}

func newChanMutex() chanMutex { return make(chanMutex, 1) }

func (l chanMutex) Lock()   { l <- struct{}{} }
func (l chanMutex) Unlock() { <-l }

// Context returns a context with the values of the request's context. It is canceled when
// the stream ends. Its cause wraps [ErrPeerGone], [ErrShutdown] or [ErrClosed], with one
// exception: if the application has ended the request's context with a cause other than
// [context.Canceled], for example with a timeout, [context.Cause] returns that cause.
func (s *Stream) Context() context.Context {
	if s.ctx == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errZeroStream)
		return ctx
	}
	return s.ctx
}

// LastEventID returns the ID of the last event that the client has received before it
// reconnected, or an empty string. The ID comes from the header Last-Event-ID or, for
// clients that cannot set a header, from the query parameter lastEventId.
func (s *Stream) LastEventID() string { return s.lastEventID }

// Send writes the events, in order, and flushes them once, after the last. Without
// events it does nothing.
//
// Send blocks while another call is sending. It also blocks while the network buffers
// are full because the peer reads too slowly, but for at most WriteTimeout for each
// 16 KiB. If an event cannot be encoded, Send sends nothing and returns a
// [*FieldError]. Any other error means that the stream has ended or is ending. That error
// wraps the reason, for example [ErrPeerGone]: see [Stream.Context].
func (s *Stream) Send(events ...Event) error {
	if s.mu == nil {
		return errZeroStream
	}
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

// SendJSON sends the event with the JSON encoding of v as its Data. In event,
// Data must be empty. If v cannot be encoded, SendJSON sends nothing and
// returns an error that wraps the error of encoding/json. Otherwise it behaves
// as [Stream.Send].
func (s *Stream) SendJSON(event Event, v any) error {
	if event.Data != "" {
		return errors.New("sse: SendJSON: Event.Data must be empty")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sse: SendJSON: %w", err)
	}
	event.Data = string(data)
	return s.Send(event)
}

// Comment sends text as a comment, with one comment line for each line of text.
// Clients ignore comments. Comment blocks and fails as [Stream.Send] does.
func (s *Stream) Comment(text string) error {
	if s.mu == nil {
		return errZeroStream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeBufferLocked(wire.AppendLines(s.buf[:0], "", text))
}

// sendRaw sends bytes in wire format. Other streams may send the same memory, so the
// bytes must not change. If the stream has already expired, sendRaw writes nothing and
// returns ErrExpired, but does not end the stream. If the stream expires before all
// bytes are written, sendRaw ends the stream and returns an error that wraps ErrExpired.
func (s *Stream) sendRaw(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expired() {
		return ErrExpired
	}
	s.sending = true
	defer func() { s.sending = false }()
	return s.writeLocked(p)
}

func (s *Stream) expired() bool { return s.expires != 0 && time.Now().UnixNano() >= s.expires }

// sendLast sends the last bytes of a stream. Unlike sendRaw, it writes even if endWithin
// was called or the stream has expired. If the stream has ended, it returns the reason.
func (s *Stream) sendLast(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.endCause(); err != nil {
		return err
	}
	return s.transmitLocked(p)
}

// Close ends the stream. If AcceptOptions.Final is set and the stream has not ended
// yet, Close first sends Final, and returns an error if that fails. Close blocks until
// a concurrent write has finished. When Close has returned, the stream no longer uses
// the ResponseWriter, so the handler may return, and net/http ends the response. A
// second Close, or a Close after Abort, sends nothing and returns nil. Do not call
// Close after the handler has returned.
func (s *Stream) Close() error {
	if s.mu == nil {
		return errZeroStream
	}
	s.mu.Lock()
	err := s.endLocked(ErrClosed)
	s.releaseLocked()
	s.mu.Unlock()
	s.goroutines.Wait()
	return err
}

// Abort ends the stream as [Stream.Close] does, but does not send
// AcceptOptions.Final. A handler calls Abort after an error, so that its client
// does not mistake a part of the answer for the whole answer:
//
//	defer stream.Close()
//	…
//	if err != nil {
//		stream.Abort()
//		return
//	}
//
// Abort returns an error only if the Stream does not come from [Accept].
func (s *Stream) Abort() error {
	if s.mu == nil {
		return errZeroStream
	}
	s.mu.Lock()
	s.releaseLocked()
	s.mu.Unlock()
	s.goroutines.Wait()
	return nil
}

// endLocked sends the final event and ends the stream for the given reason,
// unless it has already ended.
func (s *Stream) endLocked(cause error) (err error) {
	if s.endCause() == nil && s.final != nil {
		err = s.transmitLocked(s.final)
	}
	s.cancel(cause)
	return err
}

// releaseLocked stops the heartbeats and releases all resources of the stream.
func (s *Stream) releaseLocked() {
	s.cancel(ErrClosed)
	s.stopRequest()
	if s.timer != nil {
		s.timer.Stop()
	}
	// When the handler has returned, net/http writes the end of the response. This
	// deadline limits that write. Afterwards net/http removes the deadline.
	s.setDeadlineLocked()
	s.limitBody()
	if s.restoreSocket != nil {
		s.restoreSocket()
		s.restoreSocket = nil
	}
}

// watchDone ends the stream when AcceptOptions.Done is closed.
func (s *Stream) watchDone() {
	select {
	case <-s.ctx.Done():
		return
	case <-s.opts.Done:
	}
	s.endWithin(shutdownGrace, ErrShutdown)
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.endLocked(ErrShutdown) // the stream has ended even if Final was not sent
}

// endWithin makes the stream end soon, even if a write is blocked. From now on,
// writeLocked writes nothing. Other writes, such as a write in progress or the last
// bytes, fail once d has passed. endWithin must not be called after Close has returned.
func (s *Stream) endWithin(d time.Duration, cause error) {
	end := &ending{time.Now().Add(d), cause}
	s.ending.Store(end)
	// If the stream expires before d has passed, a write of sendRaw already has the
	// time of expiry as its deadline, and that earlier deadline must stay. If d
	// is 0, the deadline is now, so that a blocked write fails at once.
	if s.deadlines && (d == 0 || s.expires == 0 || end.deadline.UnixNano() < s.expires) {
		s.rc.SetWriteDeadline(end.deadline)
	}
}

// sendHeartbeat runs when the timer fires. If the stream was silent for opts.Heartbeat,
// sendHeartbeat sends a heartbeat. Then it sets the timer to the time of the next one.
// This is cheaper than a reset of the timer for every event.
func (s *Stream) sendHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.recoverLateWrite()
	if s.endCause() != nil {
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

// recoverLateWrite recovers from the panic of a write after the handler has
// returned without Close, so that the process survives.
func (s *Stream) recoverLateWrite() {
	if p := recover(); p != nil {
		s.cancel(ErrClosed)
		s.opts.Logger.Error("sse: a handler must call Stream.Close before it returns", "panic", p)
	}
}

// writeBufferLocked writes buf, and retains buf as s.buf for the next event, unless buf
// is too large.
func (s *Stream) writeBufferLocked(buf []byte) error {
	if s.buf = buf; cap(buf) > maxRetainedBuffer {
		s.buf = nil
	}
	return s.writeLocked(buf)
}

// writeLocked writes and flushes p, unless the stream has ended or will end
// soon.
func (s *Stream) writeLocked(p []byte) error {
	if err := s.endCause(); err != nil {
		return err
	}
	if end := s.ending.Load(); end != nil {
		return end.cause
	}
	return s.transmitLocked(p)
}

// transmitLocked writes and flushes p, and ends the stream if that fails. On HTTP/2 it
// removes the write deadline afterwards, because on HTTP/2 a deadline that passes resets
// the stream even while nothing is written. On HTTP/1, a deadline that passes affects
// only writes, and the next write sets its own deadline.
func (s *Stream) transmitLocked(p []byte) error {
	if err := s.writePiecesLocked(p); err != nil {
		cause := ErrPeerGone
		switch {
		case s.ending.Load() != nil:
			cause = s.ending.Load().cause
		case s.sending && s.expired():
			cause = ErrExpired
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = fmt.Errorf("it did not accept the bytes within %v: %w", s.opts.WriteTimeout, err)
		}
		err = fmt.Errorf("%w: %w", cause, err)
		s.cancel(err)
		return err
	}
	if s.deadlines && s.multiplexed {
		s.rc.SetWriteDeadline(time.Time{})
	}
	if !s.brokerOwned { // the broker has its own heartbeats
		s.lastWrite = time.Now()
	}
	return nil
}

// writePiecesLocked writes p in pieces, each with its own time limit, and then flushes.
func (s *Stream) writePiecesLocked(p []byte) error {
	defer s.writing.Store(0)
	for first := true; len(p) > 0; first = false {
		if !first && s.sending && s.expired() {
			return os.ErrDeadlineExceeded
		}
		piece := p[:min(len(p), maxPieceSize)]
		s.limitPieceLocked()
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

// limitPieceLocked limits the time that the write of the next piece may take. If the
// broker's timers watch the write, it only records the time at which the piece begins,
// because that costs less than a deadline. Otherwise it sets a deadline.
func (s *Stream) limitPieceLocked() {
	if s.watched && s.ending.Load() == nil && (s.sending || s.expires == 0) {
		s.writing.Store(time.Now().UnixNano())
		if s.ending.Load() == nil {
			return
		}
	}
	s.setDeadlineLocked()
}

// setDeadlineLocked sets the deadline of the next piece: WriteTimeout from now, if
// WriteTimeout is positive. If s.ending is set, the deadline is not later than the
// deadline in s.ending. In sendRaw, it is not later than s.expires either.
func (s *Stream) setDeadlineLocked() {
	if !s.deadlines {
		return
	}
	end := s.ending.Load()
	var deadline time.Time // if zero, there is none
	if s.opts.WriteTimeout > 0 {
		deadline = time.Now().Add(s.opts.WriteTimeout)
	}
	if end != nil {
		deadline = earlier(deadline, end.deadline)
	}
	if s.sending && s.expires != 0 {
		deadline = earlier(deadline, time.Unix(0, s.expires))
	}
	if deadline.IsZero() && s.expires == 0 {
		return
	}
	s.rc.SetWriteDeadline(deadline)
	if end != s.ending.Load() { // this deadline has replaced the deadline that endWithin set
		s.setDeadlineLocked()
	}
}

// earlier returns the earlier of two deadlines. If a is zero, it returns b.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
