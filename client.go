package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultRetryDelay    = time.Second
	defaultMaxRetryDelay = 30 * time.Second
)

// Client receives one stream of events. When the stream is lost, the client
// reconnects and asks for the events that it missed. By default, the number of
// attempts has no limit, but some responses, such as 404, are final: the client
// does not try again. Only URL must be set.
//
// The fields must not be changed while Events runs.
type Client struct {
	// URL is the address of the stream, with the scheme http or https.
	URL string

	// Method is the HTTP method of the request. If empty, GET.
	Method string

	// Body is the body of each request. If nil, requests have no body, unless
	// GetBody is set. The client does not modify Body.
	Body []byte

	// GetBody, if not nil, is called for each request and returns its body, for
	// example a file. Body must then be nil. The request has a Content-Length if
	// the body is a *bytes.Reader, *bytes.Buffer or *strings.Reader.
	GetBody func() (io.Reader, error)

	// Header is sent with each request. The client sets the fields Accept,
	// Accept-Encoding and Cache-Control unless Header has them. By default, the
	// client asks servers not to compress the stream, because compression often
	// delays events. It decodes gzip, and no other coding.
	Header http.Header

	// Prepare, if not nil, is called with each request before it is sent, for
	// example to set a fresh token. If Prepare returns an error, the attempt fails,
	// and the client retries as it does when the network fails.
	//
	// If a redirect leads to another origin, that origin does not receive the
	// header fields that Prepare and Header have set, except harmless fields such
	// as Accept and User-Agent.
	Prepare func(*http.Request) error

	// HTTPClient sends the requests. Its Timeout must be zero, because a Timeout
	// would end every stream; set IdleTimeout instead. If nil, a client with
	// [http.DefaultTransport] is used.
	HTTPClient *http.Client

	// LastEventID is the ID of the event after which Events begins, for example the
	// [Event.LastEventID] that an earlier run of the program has stored. If empty,
	// the Last-Event-ID in Header is used. If that is empty too, the server decides
	// where to begin. Events does not change this field.
	LastEventID string

	// RetryDelay is the time to wait before the first attempt to reconnect. If zero, 1
	// second. A retry field from the server replaces RetryDelay. The delay is then at
	// most a day, and at least the shorter of RetryDelay and 10 milliseconds. A
	// Retry-After header lengthens the delay, to at most a day.
	RetryDelay time.Duration

	// MaxRetryDelay limits how far the delay grows. If zero, 30 seconds.
	//
	// The first delay after progress (see below) is RetryDelay, or the server's retry
	// field if there was one. Each further delay has a bound. The bound starts at the
	// longer of the first delay and 100 milliseconds. It doubles after every attempt
	// without progress, up to MaxRetryDelay. The delay is random: between half of the
	// bound and the bound, but never below the first delay. So clients do not all
	// reconnect at the same time. A Retry-After header lengthens any delay.
	//
	// If MaxRetryDelay is negative, or not greater than the first delay, the delay does
	// not grow: every delay equals the first delay, except that the following minimum
	// applies.
	//
	// Each delay after the first is at least the shorter of RetryDelay and 100
	// milliseconds, even if MaxRetryDelay is shorter. So a short retry field does not
	// make the client flood a server that is down.
	//
	// An attempt makes progress if it receives an event other than sse.cursor, if
	// it skips an event that has a new ID, or if its stream stays open for at least
	// the longest of MaxRetryDelay, the first delay and 1 second.
	MaxRetryDelay time.Duration

	// MaxRetries limits the number of consecutive retries without progress. If
	// zero, there is no limit. If negative, the client does not reconnect:
	// Events ends when the stream ends.
	MaxRetries int

	// IdleTimeout is how long the client waits for the next byte, or for the
	// response header, before it considers the connection dead and closes it.
	// If zero, there is no timeout. If the server sends heartbeats, set
	// IdleTimeout to two or three times their interval.
	IdleTimeout time.Duration

	// MaxEventSize limits the size of one event in bytes, as in
	// [DecoderOptions]. If zero, 16 MiB.
	MaxEventSize int

	// LikeBrowser makes every status except 200 final, as in a browser. If
	// false, 408, 425, 429 and every status from 500 on are retried.
	LikeBrowser bool

	// Resend, if not nil, reports whether the client may repeat a request, although
	// the server might then perform an action twice, or charge for an answer twice.
	// The client calls Resend only in two cases: the method is not GET; or Terminal
	// is set and the stream of the request has begun. If refused is true, the server
	// has not processed the request: no connection was established, or the status is
	// 408, 425, 429 or 503. If Resend is nil, the client repeats no such request.
	// Most programs need one of these two functions:
	//
	//	func(refused bool) bool { return refused } // for an answer that costs money
	//	func(refused bool) bool { return true }    // if the server can resume
	Resend func(refused bool) bool

	// Terminal, if not nil, reports whether an event is the last event of a complete
	// stream, for example an event with the data "[DONE]". In some protocols this
	// event has data. Therefore Events yields the event, and ends after it. If a
	// stream ends without such an event, and the client does not retry, Events yields
	// [ErrTruncated].
	Terminal func(Event) bool

	// OnState, if not nil, is called whenever the state changes, in the
	// goroutine that runs Events.
	OnState func(StateChange)

	// OnCursor, if not nil, is called when an event of type sse.cursor has changed
	// the last event ID. Events does not yield such an event. A program that resumes
	// later stores this ID like the LastEventID of an event. OnCursor is called in
	// the goroutine that runs Events.
	OnCursor func(lastEventID string)

	// OnComment, if not nil, is called with the text of each comment, in the
	// goroutine that runs Events.
	OnComment func(text string)

	// OnSkip is called for each event that is larger than MaxEventSize, as soon
	// as the client has read more than MaxEventSize bytes of it, in the goroutine
	// that runs Events. If nil, the client logs a warning with Logger, or with
	// [slog.Default] if Logger is nil.
	OnSkip func(*TooLargeError)

	// Logger receives a record whenever a stream is opened, and whenever the client
	// will retry after a lost stream or a failed attempt. If nil, the client logs
	// only two warnings, with [slog.Default]: an event was skipped and OnSkip is
	// nil, or the last event ID is too long to be sent.
	Logger *slog.Logger

	running atomic.Bool

	mu            sync.Mutex              // guards the following
	cancelAttempt context.CancelCauseFunc // ends the attempt, or the wait for the next attempt
}

// State is the state of a Client, for example "open".
type State string

// The states of a Client. Browsers call both StateConnecting and StateRetrying
// CONNECTING.
const (
	// StateConnecting: the client is about to send a request, or waits for the
	// response.
	StateConnecting State = "connecting"

	// StateOpen: the stream is open.
	StateOpen State = "open"

	// StateRetrying: the stream is lost or was not opened, and the client waits
	// before it reconnects.
	StateRetrying State = "retrying"

	// StateClosed: Events ends, and the client does not reconnect.
	StateClosed State = "closed"
)

// StateChange describes a change of state.
type StateChange struct {
	State State

	// Attempt is the number of the attempt to connect, 1 for the first.
	Attempt int

	// LastEventID is the ID after which the client continues: the LastEventID of
	// the last event that Events has yielded or skipped, or the ID of a later
	// sse.cursor. It is empty if the server decides where to begin.
	LastEventID string

	// Err is the reason why the stream was lost or not opened (StateRetrying), or
	// why Events ends (StateClosed). In StateRetrying, Err is nil if the server
	// ended the stream between two events. In StateClosed, Err is nil if Events ends
	// without an error: the stream is complete, or the caller broke out of the loop.
	//
	// In StateConnecting, Err is nil or a [*FieldError]. The *FieldError says that
	// LastEventID has more than 8 KiB, so that the request does not contain it.
	// Events may then be missing or arrive twice.
	Err error

	// Delay is the time that the client waits (StateRetrying).
	Delay time.Duration

	// Response is the server's response (StateOpen). Its Body must not be used.
	Response *http.Response
}

// errReconnect is the cause with which Reconnect cancels an attempt.
var errReconnect = errors.New("sse: Client.Reconnect was called")

// Events returns an iterator that connects and yields the events as they
// arrive. The iterator runs in the goroutine of the caller. It blocks while it
// waits for the next event, and before it reconnects. It ends when ctx is done.
// If the caller breaks out of the loop, the iterator closes the connection.
//
// When a stream ends or is lost, the client reconnects and asks for the events
// after the last event that the iterator yielded or skipped. The iterator yields
// an error only if the client does not reconnect, and then ends. The error is, or
// wraps,
//
//   - a [*ResponseError], if the response is final;
//   - [ErrTruncated], if the stream ended before it was complete;
//   - [ErrGaveUp] and the reason why the last attempt failed, after MaxRetries
//     retries without progress;
//   - the reason why an attempt failed, if MaxRetries or Resend does not allow
//     another attempt;
//   - the cause of ctx;
//   - [ErrInUse], or an error that names an invalid field of the Client.
//
// An event over MaxEventSize is not an error: it is skipped and reported to OnSkip.
//
// Events also yields the events whose types are reserved for this package, such as
// "sse.gap". The only exception is "sse.cursor". The ID of an sse.cursor event is the
// current position in the server's log. When the client reconnects, it asks for the
// events after this position.
//
// A Client receives one stream at a time: if Events is already running, a second call
// yields [ErrInUse]. Each call begins after the event that the field LastEventID names,
// even if an earlier call has yielded later events.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if !c.running.CompareAndSwap(false, true) {
			yield(Event{}, ErrInUse)
			return
		}
		defer c.running.Store(false)
		s, err := newSession(ctx, c)
		if err == nil {
			err = s.run(yield)
		}
		if err == errStopped {
			s.report(StateChange{State: StateClosed})
			return
		}
		s.report(StateChange{State: StateClosed, Err: err})
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// Reconnect closes the connection, or ends the wait for the next attempt, and
// connects again at once, even if Method is not GET. Call it, for example, when the
// program learns that the network has changed. The next request uses a new connection,
// unless other requests are open on an HTTP/2 connection to the same server. Reconnect does
// not block. It does nothing if Events is not running. It is safe for concurrent use.
func (c *Client) Reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelAttempt != nil {
		c.cancelAttempt(errReconnect)
	}
}

// method returns the HTTP method of the requests.
func (c *Client) method() string {
	if c.Method == "" {
		return http.MethodGet
	}
	return c.Method
}

// setCancelAttempt sets the function that Reconnect calls. cancel is nil if no
// attempt can be canceled.
func (c *Client) setCancelAttempt(cancel context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelAttempt = cancel
}

// check returns the parsed URL, or an error if a field is invalid.
func (c *Client) check() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("sse: Client.URL is not a valid URL: %w", parseError(c.URL, err))
	}
	// The errors do not contain the URL, because a part of it may be a password.
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("sse: the scheme of Client.URL must be http or https, not %q", u.Scheme)
	}
	if u.Host == "" {
		return nil, errors.New("sse: Client.URL must have a host")
	}
	if c.HTTPClient != nil && c.HTTPClient.Timeout != 0 {
		return nil, errors.New("sse: Client.HTTPClient.Timeout must be zero, because it " +
			"would end every stream: set Client.IdleTimeout instead")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"RetryDelay", c.RetryDelay}, {"IdleTimeout", c.IdleTimeout}} {
		if d.value < 0 {
			return nil, fmt.Errorf("sse: Client.%s must not be negative: %v", d.name, d.value)
		}
	}
	if c.MaxEventSize < 0 {
		return nil, fmt.Errorf("sse: Client.MaxEventSize must not be negative: %d", c.MaxEventSize)
	}
	if c.Body != nil && c.GetBody != nil {
		return nil, errors.New("sse: Client.Body and Client.GetBody must not both be set")
	}
	if err := checkHeader(c.Header); err != nil {
		return nil, fmt.Errorf("sse: Client.Header: %w", err)
	}
	return u, nil
}
