package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"time"
)

// minGrowth is where delays begin to double when the server asks for shorter
// ones, lest a server that is down is asked without pause.
const minGrowth = 100 * time.Millisecond

// A server is not asked more often than each minRetry, whatever it says, unless
// the caller has set a shorter RetryDelay; nor is it left alone for longer than
// maxRetry, whether with retry or with Retry-After.
const (
	minRetry = 10 * time.Millisecond
	maxRetry = 24 * time.Hour
)

// What ends a session that has not failed.
var (
	errStopped  = errors.New("sse: stopped by the caller")
	errTerminal = errors.New("sse: terminal event")
)

// session is one run of Client.Events.
//
//	    ┌──────────── cut, or after the delay ────────────┐
//	    ▼                                                 │
//	connecting ──── 200, text/event-stream ───► open ──► retrying
//	    │ ▲                                       │        ▲ │
//	    │ └───────────────── after the delay ─────┼────────┼─┤
//	    ├── refused, 5xx, 429 … ──────────────────┼────────┘ │
//	    ▼                                         ▼          ▼
//	  closed ◄── what retrying cannot mend, break, cancel, terminal event
type session struct {
	c      *Client
	ctx    context.Context
	url    *url.URL
	name   string      // of the URL, without what may be secret
	header http.Header // of the client, in canonical form
	http   http.Client // follows no redirects
	log    *slog.Logger
	lastID string        // of the last event that was yielded, or of a cursor after it
	retry  time.Duration // before the first attempt to reconnect

	attempts int           // requests sent
	failures int           // attempts since there was progress
	opened   bool          // the attempt under way, or the last, got a stream
	lasted   time.Duration // how long that stream stayed open
	begun    bool          // any attempt got one
}

func newSession(ctx context.Context, c *Client) (*session, error) {
	s := &session{c: c, ctx: ctx, log: c.Logger, lastID: c.LastEventID, retry: c.RetryDelay}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	u, err := c.check()
	if err != nil {
		return s, err
	}
	s.url = u
	s.name = u.Scheme + "://" + u.Host + u.Path
	if c.HTTPClient != nil {
		s.http = *c.HTTPClient
	}
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	s.header = canonical(c.Header)
	if s.lastID == "" {
		s.lastID = s.header.Get("Last-Event-ID")
	}
	if s.retry == 0 {
		s.retry = defaultRetryDelay
	}
	return s, nil
}

// run connects until there is no more to be done. The error says why; it is
// nil if the stream has come to its end.
func (s *session) run(yield func(Event, error) bool) error {
	defer s.c.setCut(nil)
	for {
		again, err := s.cycle(yield)
		if !again {
			return err
		}
	}
}

// cycle makes one attempt, and waits after it if there is to be another.
func (s *session) cycle(yield func(Event, error) bool) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.c.setCut(cancel)

	s.attempts++
	s.opened, s.lasted = false, 0
	s.tell(StateChange{State: StateConnecting})
	err = s.attempt(ctx, yield)
	switch {
	case err == errStopped:
		return false, err
	case err == errTerminal:
		return false, nil
	case s.ctx.Err() != nil:
		return false, s.canceled()
	case context.Cause(ctx) == errReconnect:
		s.http.CloseIdleConnections()
		return true, nil
	case isFinal(err):
		return false, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// On HTTP/2 the next attempt would use the same dead connection.
		s.http.CloseIdleConnections()
	}
	if s.lasted >= max(s.maxDelay(), s.retry, time.Second) {
		s.failures = 0
	}
	if !s.mayRetry() {
		return false, s.unrepeatable(err)
	}
	if s.c.MaxRetries > 0 && s.failures >= s.c.MaxRetries {
		return false, s.gaveUp(err)
	}
	delay := s.delay(err)
	s.failures++
	s.tell(StateChange{State: StateRetrying, Err: err, Delay: delay})
	return s.wait(ctx, delay)
}

// wait returns when it is time for the next attempt, or false with the reason
// if there is to be none.
func (s *session) wait(ctx context.Context, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
	}
	if s.ctx.Err() != nil {
		return false, s.canceled()
	}
	return true, nil
}

// canceled is the error of a caller's context that is done.
func (s *session) canceled() error {
	err, cause := s.ctx.Err(), context.Cause(s.ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("sse: %w", cause)
	}
	return fmt.Errorf("sse: %w: %w", err, cause)
}

// mayRetry reports whether the request may be sent again. A POST never is
// unless the caller said so; nor is what has a terminal event, once a part of
// it was delivered.
func (s *session) mayRetry() bool {
	switch {
	case s.c.MaxRetries < 0:
		return false
	case s.c.Resend:
		return true
	case s.method() != http.MethodGet:
		return false
	}
	return s.c.Terminal == nil || !s.opened
}

// unrepeatable is the error, if any, with which a stream ends that may not be
// asked for again. The err is that of the attempt.
func (s *session) unrepeatable(err error) error {
	switch {
	case !s.opened && s.method() != http.MethodGet:
		return fmt.Errorf("%w (a %s is sent again only if Client.Resend is set)",
			err, s.method())
	case !s.opened:
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case s.c.Terminal != nil:
		return fmt.Errorf("%w: it ended without a terminal event", ErrTruncated)
	}
	return nil
}

// gaveUp is the error after MaxRetries. If a part of a stream that must have an
// end was delivered, the error says that it was only a part.
func (s *session) gaveUp(err error) error {
	err = fmt.Errorf("sse: gave up after %d retries: %w", s.c.MaxRetries, orEnd(err))
	if s.begun && s.c.Terminal != nil {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return err
}

// delay is how long to wait before the next attempt.
func (s *session) delay(err error) time.Duration {
	var refusal *ResponseError
	if errors.As(err, &refusal) {
		return max(refusal.retryAfter, s.backoff())
	}
	return s.backoff()
}

// backoff doubles with every failure. The first delay is exactly what was asked
// for, as in a browser: a server that wants its clients spread says so to each.
func (s *session) backoff() time.Duration {
	limit := s.maxDelay()
	switch {
	case s.failures == 0:
		return s.retry
	case limit <= s.retry:
		return max(s.retry, min(minGrowth, s.configured()))
	}
	grown := max(s.retry, minGrowth)
	for range s.failures {
		if grown > limit/2 { // compared before it doubles, which may overflow
			grown = limit
			break
		}
		grown *= 2
	}
	low := max(s.retry, grown/2)
	return low + rand.N(grown-low+1)
}

// configured is the caller's RetryDelay.
func (s *session) configured() time.Duration {
	if s.c.RetryDelay == 0 {
		return defaultRetryDelay
	}
	return s.c.RetryDelay
}

// setRetry takes the server's retry field.
func (s *session) setRetry(retry time.Duration) {
	s.retry = min(max(retry, min(minRetry, s.configured())), maxRetry)
}

func (s *session) maxDelay() time.Duration {
	if s.c.MaxRetryDelay == 0 {
		return defaultMaxRetryDelay
	}
	return s.c.MaxRetryDelay
}

// tell calls the hook and the logger.
func (s *session) tell(change StateChange) {
	change.Attempt = s.attempts
	switch change.State {
	case StateOpen:
		s.log.Info("sse: connected", "url", s.name, "lastEventID", s.lastID)
	case StateRetrying:
		s.log.Warn("sse: stream lost", "url", s.name,
			"error", withoutURL(orEnd(change.Err)), "delay", change.Delay)
	}
	if s.c.OnState != nil {
		s.c.OnState(change)
	}
}

// withoutURL is err without the URL of the request, whose query may be secret.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// orEnd is err, or what nil stands for.
func orEnd(err error) error {
	if err == nil {
		return fmt.Errorf("sse: the server ended the stream: %w", io.EOF)
	}
	return err
}
