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

// Client receives one stream of events. It connects, and when the stream is
// lost it reconnects and asks for what it missed, for ever by default. Only URL
// must be set.
//
// The fields must not be changed while Events runs.
type Client struct {
	// URL of the stream, http or https.
	URL string

	// Method of the request. If empty, GET.
	Method string

	// GetBody returns the body of each request. If nil, there is none. The
	// body's length is known to the server if it is a *bytes.Reader,
	// *bytes.Buffer or *strings.Reader.
	GetBody func() (io.Reader, error)

	// Header is sent with each request. Accept, Accept-Encoding and
	// Cache-Control have defaults that it may replace.
	Header http.Header

	// Prepare, if not nil, is called with each request before it is sent, so
	// that a token is fresh on every attempt. If it fails, the attempt has
	// failed, and is repeated as if the network had been at fault.
	//
	// What it and Header set is not sent to another origin that a redirect
	// may lead to.
	Prepare func(*http.Request) error

	// HTTPClient sends the requests. If nil, one that uses
	// [http.DefaultTransport]. Its Timeout must be zero, as it would cut every
	// stream; see IdleTimeout.
	HTTPClient *http.Client

	// LastEventID is the ID of the last event that was seen before, for example
	// by an earlier run of the program. Events does not change it.
	LastEventID string

	// RetryDelay is how long to wait before the first attempt to reconnect. If
	// zero, 1 second. The server's retry field replaces it, but is not obeyed
	// below 10 milliseconds, or RetryDelay if that is less, nor above a day;
	// nor is its Retry-After header.
	RetryDelay time.Duration

	// MaxRetryDelay limits the delay, which doubles with every attempt that
	// brings no progress: no event, and no stream that stayed open for so long.
	// From the second on it is drawn at random from the upper half, so that
	// clients do not return all at once; and a delay below 100 milliseconds
	// doubles from there. If zero, 30 seconds. If not more than RetryDelay, or
	// negative, the delay is constant.
	MaxRetryDelay time.Duration

	// MaxRetries is how many attempts in a row may bring no progress. If zero,
	// there is no limit. If negative, nothing is retried: Events ends with the
	// stream.
	MaxRetries int

	// IdleTimeout is how long to wait for a byte, of the response's headers
	// too, before the connection is taken for dead. If zero, for ever. Where
	// the server sends heartbeats, two or three times their interval.
	IdleTimeout time.Duration

	// MaxEventSize limits the bytes of one event, as in [DecoderOptions]. If
	// zero, 16 MiB.
	MaxEventSize int

	// LikeBrowser makes every status but 200 final, as a browser does. By
	// default 408, 425, 429 and all from 500 on are retried.
	LikeBrowser bool

	// Resend allows a request to be sent again that is not on its own: one whose
	// method is not GET, and one whose stream has begun when Terminal is set.
	Resend bool

	// Terminal, if not nil, tells the event that ends the stream by agreement,
	// such as data "[DONE]". It is the last that Events yields. A stream that
	// ends without it is reported as [ErrTruncated], never as a success.
	Terminal func(Event) bool

	// OnState, if not nil, is called whenever the state changes, by the
	// goroutine that runs Events.
	OnState func(StateChange)

	// OnComment, if not nil, is called with the text of each comment, by the
	// goroutine that runs Events.
	OnComment func(text string)

	// Logger is told of streams lost and regained. If nil, nothing is logged.
	Logger *slog.Logger

	running atomic.Bool

	mu  sync.Mutex              // guards the following
	cut context.CancelCauseFunc // ends the connection, or the wait for the next
}

// State is what a Client is doing.
type State int

// The states of a Client. Browsers call the first and the third both
// CONNECTING.
const (
	StateConnecting State = iota // a request is under way
	StateOpen                    // the stream is open
	StateRetrying                // the stream is lost, the client waits
	StateClosed                  // Events ends
)

func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateOpen:
		return "open"
	case StateRetrying:
		return "retrying"
	case StateClosed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// StateChange describes a change of state.
type StateChange struct {
	State State

	// Attempt is the number of the request, 1 for the first.
	Attempt int

	// Err is why the stream was lost (StateRetrying) or why Events ends
	// (StateClosed). It is nil if the server ended the stream as one should, or
	// if the caller broke out of the loop.
	Err error

	// Delay is how long the client waits (StateRetrying).
	Delay time.Duration

	// Response is the server's (StateOpen). Its body belongs to the client.
	Response *http.Response
}

// errInUse: a Client is one stream.
var errInUse = errors.New("sse: client in use: Events is running already")

// errReconnect is the cause with which Reconnect cancels a connection.
var errReconnect = errors.New("sse: reconnecting as asked")

// Events connects and returns the events as they arrive. It runs in the
// caller's goroutine, and has no other. The caller may break at any time, which
// closes the connection.
//
// A stream that ends or breaks is no error: the client reconnects and goes on
// after the last event that it yielded. What is yielded as an error is what
// retrying cannot mend, and is the last: a [*ResponseError], ErrTruncated, an
// error in the configuration, or the cause of ctx when that is done. A
// [*TooLargeError] alone is not: a caller who continues gets the next event.
//
// An event of type sse.cursor is not yielded, nor is it progress: its ID, the
// position of the server's log, is what the client reconnects after. The types
// that begin with "sse." are this package's; those of other events, such as
// sse.gap, are yielded as any are.
//
// A Client is one stream: Events fails if it is running already. Every call starts
// anew, with LastEventID.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if !c.running.CompareAndSwap(false, true) {
			yield(Event{}, errInUse)
			return
		}
		defer c.running.Store(false)
		s, err := newSession(ctx, c)
		if err == nil {
			err = s.run(yield)
		}
		if err == errStopped {
			s.tell(StateChange{State: StateClosed})
			return
		}
		s.tell(StateChange{State: StateClosed, Err: err})
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// Reconnect drops the connection, or ends the wait for the next, and connects
// again at once, whatever the method. It is for a program that knows better, for
// example that the network has changed. It does not block, and does nothing if Events is not
// running. It may be called from any goroutine.
func (c *Client) Reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != nil {
		c.cut(errReconnect)
	}
}

func (c *Client) setCut(cut context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

// check reports what is wrong with the configuration, and parses the URL.
func (c *Client) check() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("sse: Client.URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("sse: Client.URL %q: the scheme must be http or https", c.URL)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("sse: Client.URL %q has no host", c.URL)
	}
	if c.HTTPClient != nil && c.HTTPClient.Timeout != 0 {
		return nil, errors.New("sse: Client.HTTPClient has a Timeout, which would cut " +
			"every stream: set it to zero, and IdleTimeout instead")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"RetryDelay", c.RetryDelay}, {"IdleTimeout", c.IdleTimeout}} {
		if d.value < 0 {
			return nil, fmt.Errorf("sse: Client.%s is negative: %v", d.name, d.value)
		}
	}
	if err := checkHeader(c.Header); err != nil {
		return nil, fmt.Errorf("sse: Client.Header: %w", err)
	}
	return u, nil
}
