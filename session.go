package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// minGrowingDelay is the delay from which the doubling starts if the first delay is
// shorter. It is also the shortest delay after the first, unless Client.RetryDelay is
// shorter. Shorter delays, for example 1 millisecond, would flood a server that is down
// with requests.
const minGrowingDelay = 100 * time.Millisecond

// The client limits the delays that a server asks for. The delay of a retry field is
// at least minRetry, or at least RetryDelay if RetryDelay is shorter. A retry field or
// Retry-After header above maxRetry counts as maxRetry.
const (
	minRetry = 10 * time.Millisecond
	maxRetry = 24 * time.Hour
)

// The errors that end a session without a failure.
var (
	errStopped  = errors.New("sse: stopped by the caller")
	errTerminal = errors.New("sse: terminal event")
)

// session is one run of Client.Events.
//
//	     ┌───────────── Reconnect ─────────────┬──── delay or Reconnect ────┐
//	     ▼                                     │                            │
//	connecting ── 200, text/event-stream ──► open ── stream lost ──► retrying
//	     │                                     │                       ▲    │
//	     ├── connection refused, 5xx, 429 … ───┼───────────────────────┘    │
//	     ▼                                     ▼                            ▼
//	   closed ◄── final error, break, cancellation, terminal event
type session struct {
	c          *Client
	ctx        context.Context // of the caller
	connector  connector
	displayURL string // the URL without parts that may be secret
	log        *slog.Logger
	lastID     string        // of the last event that was yielded or skipped, or a later cursor
	retry      time.Duration // the delay before the first attempt to reconnect

	attempts     int           // attempts that have begun
	failures     int           // retries since the last progress (see Client.MaxRetryDelay)
	opened       bool          // the newest attempt has opened a stream
	openDuration time.Duration // how long that stream stayed open; set at its end
	everOpened   bool          // any attempt opened a stream

	// The connection of the last attempt may be dead, so the next attempt closes the
	// idle connections first. On HTTP/2 the transport would otherwise use it again.
	replaceConn bool
}

// newSession returns a session. If it also returns an error, because a field of the
// client is invalid, only report may be called.
func newSession(ctx context.Context, c *Client) (*session, error) {
	s := &session{c: c, ctx: ctx, log: c.Logger, lastID: c.LastEventID, retry: c.RetryDelay}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	u, err := c.check()
	if err != nil {
		return s, err
	}
	s.displayURL = u.Scheme + "://" + u.Host + u.Path
	s.connector = newConnector(c, u)
	if s.lastID == "" {
		s.lastID = s.connector.header.Get("Last-Event-ID")
	}
	if s.retry == 0 {
		s.retry = defaultRetryDelay
	}
	return s, nil
}

// run connects and reconnects until the session ends. It returns nil if the stream is
// complete, errStopped if the caller has ended the loop, and otherwise the error that
// Events yields.
func (s *session) run(yield func(Event, error) bool) error {
	defer s.c.setCancelAttempt(nil)
	for {
		again, err := s.runOnce(yield)
		if !again {
			return err
		}
	}
}

// runOnce makes one attempt. If another attempt is to follow, runOnce waits for the delay
// before that attempt, and then returns true. There is no delay if Client.Reconnect has
// ended the attempt. If no attempt is to follow, err is the result of the session.
func (s *session) runOnce(yield func(Event, error) bool) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.c.setCancelAttempt(cancel)

	if s.replaceConn {
		s.connector.httpClient.CloseIdleConnections()
		s.replaceConn = false
	}
	s.attempts++
	s.opened, s.openDuration = false, 0
	s.report(StateChange{State: StateConnecting, Err: checkSentID(s.lastID)})
	err = s.attempt(ctx, yield)
	switch {
	case err == errStopped:
		return false, err
	case err == errTerminal:
		return false, nil
	case s.ctx.Err() != nil:
		return false, s.cancelError()
	case context.Cause(ctx) == errReconnect:
		s.replaceConn = true
		return true, nil
	case isFinal(err):
		return false, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.replaceConn = true
	}
	if s.openDuration >= max(s.maxDelay(), s.retry, time.Second) {
		s.failures = 0
	}
	if !s.mayRetry(err) {
		return false, s.noRetryError(err)
	}
	if s.c.MaxRetries > 0 && s.failures >= s.c.MaxRetries {
		return false, s.maxRetriesError(err)
	}
	delay := s.retryDelay(err)
	s.failures++
	s.report(StateChange{State: StateRetrying, Err: err, Delay: delay})
	return s.wait(ctx, delay)
}

// wait blocks for d, or until Client.Reconnect is called, and returns true. If the
// caller's context is done first, wait returns false and the error of the session.
func (s *session) wait(ctx context.Context, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
	}
	if s.ctx.Err() != nil {
		return false, s.cancelError()
	}
	s.replaceConn = true
	return true, nil
}

// cancelError returns the error for a caller's context that is done.
func (s *session) cancelError() error {
	err, cause := s.ctx.Err(), context.Cause(s.ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("sse: %w", cause)
	}
	return fmt.Errorf("sse: %w: %w", err, cause)
}

// mayRetry reports whether the request may be sent again after err. If MaxRetries is
// negative, no request may be sent again. Otherwise a GET request may be sent again if
// Client.Terminal is nil, or if its stream has not begun. In all other cases,
// Client.Resend decides. Without Resend, the request must not be sent again.
func (s *session) mayRetry(err error) bool {
	switch {
	case s.c.MaxRetries < 0:
		return false
	case s.c.method() == http.MethodGet && (s.c.Terminal == nil || !s.opened):
		return true
	}
	return s.c.Resend != nil && s.c.Resend(s.isRefused(err))
}

// isRefused reports whether the server has certainly not processed the request. If the
// connection was lost before the response, for example, the server may have processed
// the request, so isRefused returns false.
func (s *session) isRefused(err error) bool {
	var refusal *ResponseError
	var failed *net.OpError
	switch {
	case s.opened || s.connector.methodChanged: // the server has processed the request
		return false
	case !s.connector.sent, errors.Is(err, syscall.ECONNREFUSED):
		return true
	case errors.As(err, &failed):
		return failed.Op == "dial" || failed.Op == "proxyconnect"
	case !errors.As(err, &refusal):
		return false
	}
	switch refusal.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusServiceUnavailable:
		return true
	}
	return false
}

// noRetryError returns the result of a session that may not retry. err is the error of
// the last attempt: nil if the server ended the stream between two events. In that case
// the stream is complete, and the result is nil, unless Client.Terminal is set.
func (s *session) noRetryError(err error) error {
	switch {
	case !s.opened && s.c.method() != http.MethodGet && s.c.Resend == nil && s.c.MaxRetries >= 0:
		return fmt.Errorf("%w (to retry a %s, set Client.Resend)",
			err, s.c.method())
	case !s.opened:
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case s.c.Terminal != nil:
		return fmt.Errorf("%w: it must end with a terminal event", ErrTruncated)
	}
	return nil
}

// maxRetriesError returns the error of a session that has used all its retries. err is
// the error of the last attempt. The result also wraps ErrTruncated if Client.Terminal
// is set and any attempt has opened a stream.
func (s *session) maxRetriesError(err error) error {
	err = fmt.Errorf("%w after %d retries: %w", ErrGaveUp, s.c.MaxRetries, endError(err))
	if s.everOpened && s.c.Terminal != nil {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return err
}

// retryDelay returns the delay before the next attempt: the result of backoff, or the
// time in the server's Retry-After if that time is longer.
func (s *session) retryDelay(err error) time.Duration {
	var refusal *ResponseError
	if errors.As(err, &refusal) {
		return max(refusal.retryAfter, s.backoff())
	}
	return s.backoff()
}

// backoff returns the delay before the next attempt, as Client.MaxRetryDelay describes
// it. The first delay is exactly s.retry, as in browsers. The first delay is not random:
// a server that wants its clients to reconnect at different times sends each client a
// different retry field. Each further delay is random, up to a bound (grown) that
// doubles from delay to delay.
func (s *session) backoff() time.Duration {
	if s.failures == 0 {
		return s.retry
	}
	limit := s.maxDelay()
	grown := max(s.retry, minGrowingDelay)
	for range s.failures {
		if grown > limit/2 { // checked first, because doubling may overflow
			grown = limit // a limit below s.retry means that the delay does not grow
			break
		}
		grown *= 2
	}
	low := max(s.retry, min(minGrowingDelay, s.baseDelay()), grown/2)
	return low + rand.N(max(grown, low)-low+1)
}

// baseDelay returns the caller's RetryDelay, or its default.
func (s *session) baseDelay() time.Duration {
	if s.c.RetryDelay == 0 {
		return defaultRetryDelay
	}
	return s.c.RetryDelay
}

// setRetry sets the first delay to the value of a retry field, within the limits of
// minRetry and maxRetry.
func (s *session) setRetry(retry time.Duration) {
	s.retry = min(max(retry, min(minRetry, s.baseDelay())), maxRetry)
}

// maxDelay returns the caller's MaxRetryDelay, or its default.
func (s *session) maxDelay() time.Duration {
	if s.c.MaxRetryDelay == 0 {
		return defaultMaxRetryDelay
	}
	return s.c.MaxRetryDelay
}

// report calls Client.OnState. It also logs that a stream was opened or lost, or that the
// client cannot send its last event ID.
func (s *session) report(change StateChange) {
	change.Attempt, change.LastEventID = s.attempts, s.lastID
	switch change.State {
	case StateConnecting:
		if change.Err != nil { // events may be lost, so warn even without a Logger
			cmp.Or(s.c.Logger, slog.Default()).Warn("sse: the client cannot resume",
				"url", s.displayURL, "error", change.Err)
		}
	case StateOpen:
		s.log.Info("sse: connected", "url", s.displayURL, "lastEventID", s.lastID)
	case StateRetrying:
		s.log.Warn("sse: stream lost", "url", s.displayURL,
			"error", stripURL(endError(change.Err)), "delay", change.Delay)
	}
	if s.c.OnState != nil {
		s.c.OnState(change)
	}
}

// endError returns err or, if err is nil, an error that says that the server ended the
// stream.
func endError(err error) error {
	if err == nil {
		return fmt.Errorf("sse: the server ended the stream: %w", io.EOF)
	}
	return err
}
