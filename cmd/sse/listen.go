package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const listenIntro = `usage: sse listen [flags] URL

Print the events of the stream at URL. If the server is not there yet, or goes,
it is tried again for ever, and the stream continues after the last event.
URL is https://host/path, host:port/path, or :port/path on this machine.

  sse listen :3000/handshake
  sse listen --since 10m :3000/news,sport
  sse listen --count 1 --timeout 10s :3000/jobs/7 && echo it happened
  sse listen --json https://example.com/prices | jq .data
  sse listen -d '{"stream": true}' -H "Authorization: Bearer $KEY" https://…

Events go to stdout: on a terminal with time, type and ID, otherwise their
data. Everything else goes to stderr. Ctrl-C ends it.
Exit code: 0 done, 1 failed, 2 usage.
`

// listenOptions are the settings of "sse listen".
type listenOptions struct {
	json, raw, comments bool
	types               stringsFlag

	header      headerFlag
	method      string
	data        string
	hasData     bool // -d "" sends an empty body
	lastEventID string

	since            string
	topics, patterns stringsFlag

	count                int
	timeout, idleTimeout time.Duration

	retry, maxRetry              time.Duration
	noRetry, likeBrowser, resend bool
	maxEventSize                 sizeFlag
}

// define declares every flag; the defaults are what o holds.
func (o *listenOptions) define(s *settings) {
	s.group("What is printed")
	s.add(&o.json, "json", "one JSON object a line: topic, id, type, data, time")
	s.add(&o.raw, "raw", "the bytes of the stream as they come, comments and all")
	s.add(&o.types, "type", "only events of this `TYPE`; without one, it is message")
	s.add(&o.comments, "comments", "print comments, which keep streams alive, on stderr")

	s.group("What a hub is asked for")
	s.add(&o.since, "since", "begin with `START`: earliest, -10 for the last ten, 10m ago, or a time")
	s.add(&o.topics, "topic", "events of this `TOPIC`; URL is then the hub's")
	s.add(&o.patterns, "pattern", "of topics that `PATTERN` selects, as in 'room/*'")

	s.group("When it ends")
	s.add(&o.count, "count", "exit 0 after `N` events")
	s.add(&o.timeout, "timeout", "end after `DURATION`; exit 1 without --count events, or a stream")

	s.group("The request")
	s.add(&o.header, "header,H", "send the header `'NAME: VALUE'`")
	s.add(&o.method, "method,X", "use `METHOD` instead of GET, or of POST with --data")
	s.add(&o.data, "data,d", "send `DATA`, @FILE or @- (stdin) as the body")
	s.add(&o.lastEventID, "last-event-id", "continue after the event with this `ID`")

	s.group("Connection")
	s.add(&o.retry, "retry", "first `DELAY` before connecting again, unless the server says")
	s.add(&o.maxRetry, "max-retry", "longest `DELAY`; if more than --retry, delays double up to it")
	s.add(&o.noRetry, "no-retry", "connect once; exit 1 if that fails or the stream is lost")
	s.add(&o.likeBrowser, "like-browser", "give up where a browser does: at every status but 200")
	s.add(&o.resend, "resend", "send a request that is not a GET again after a loss")
	s.add(&o.idleTimeout, "idle-timeout", "connect again after a silence of `DURATION`")
	s.add(&o.maxEventSize, "max-event-size", "skip events over `SIZE`, such as 64KiB")
}

// check finds settings that contradict each other.
func (o *listenOptions) check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"--timeout", o.timeout, 0}, {"--idle-timeout", o.idleTimeout, 0},
		{"--retry", o.retry, time.Millisecond}, {"--max-retry", o.maxRetry, 0},
	} {
		if d.value < d.least {
			return misuse("", "%s %v is too short", d.name, d.value)
		}
	}
	switch {
	case o.raw && o.json:
		return misuse("", "--raw and --json exclude each other")
	case o.raw && len(o.types) > 0:
		return misuse("", "--raw prints the stream as it comes; --type cannot choose from it")
	case o.count < 0:
		return misuse("", "--count %d is negative", o.count)
	case o.method != "" && !isToken(o.method):
		return misuse("", "-X %q is not a method", o.method)
	}
	return nil
}

// listen is "sse listen".
func listen(ctx context.Context, w *world, args []string) int {
	// The delay does not grow unless asked to: one listener a second is no load
	// for a server, and a person waits no longer than that once it is back.
	o := listenOptions{retry: time.Second, maxRetry: time.Second, maxEventSize: 16 << 20}
	s := newSettings("listen")
	o.define(s)
	operands, err := s.parse(args, w.env)
	if errors.Is(err, errHelp) {
		return w.ui.page(s.help(listenIntro))
	}
	if err != nil {
		return w.ui.fail(err)
	}
	o.hasData = s.given["data"]
	target, err := o.target(operands)
	if err != nil {
		return w.ui.fail(err)
	}
	l := &listener{options: o, ui: w.ui, target: target, print: w.ui.printer(o.json)}
	if err := l.prepare(w); err != nil {
		return w.ui.fail(err)
	}
	return l.run(ctx)
}

// target checks the settings and returns the one URL among the operands.
func (o *listenOptions) target(operands []string) (*url.URL, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	switch len(operands) {
	case 0:
		return nil, misuse("try sse listen :3000/handshake", "a URL is missing")
	case 1:
		u, err := parseURL(operands[0])
		if err != nil {
			return nil, err
		}
		return o.ask(u)
	}
	return nil, misuse("a value with spaces needs quotes",
		"one URL, not %d: %s", len(operands), strings.Join(operands, " "))
}

// ask puts what a hub is asked for into the URL.
func (o *listenOptions) ask(u *url.URL) (*url.URL, error) {
	query := u.Query()
	if o.since != "" {
		if _, err := sse.ParseStart(o.since); err != nil {
			return nil, misuse("earliest, latest, -10, 10m, 7d or 2006-01-02T15:04:05Z",
				"--since %s is no place to start", o.since)
		}
		query.Set("since", o.since)
	}
	if len(o.topics)+len(o.patterns) > 0 {
		if u.Path != "" && u.Path != "/" && u.Path != ownEvents {
			return nil, misuse("the hub alone: "+u.Host,
				"--topic and --pattern say what to listen to, and so does the path of %s", u.Redacted())
		}
		u.Path, u.RawPath = ownEvents, ""
	}
	for name, values := range map[string][]string{"topic": o.topics, "pattern": o.patterns} {
		for _, value := range values {
			query.Add(name, value)
		}
	}
	if len(query) > 0 {
		u.RawQuery = query.Encode()
	}
	return u, nil
}

// ownEvents is where a hub has topics that a path cannot spell.
const ownEvents = "/-/events"

// listener prints one stream.
type listener struct {
	options listenOptions
	ui      *ui
	print   printer
	target  *url.URL
	client  *sse.Client
	stop    context.CancelCauseFunc // ends run

	seen int             // events printed
	open bool            // the stream was open when it was last heard of
	ever bool            // it was open once
	told map[string]bool // reasons told since then
}

// errTimeout is the cause of a context that --timeout has ended.
var errTimeout = errors.New("the time is over")

// prepare builds the client.
func (l *listener) prepare(w *world) error {
	o := &l.options
	l.client = &sse.Client{
		URL:           l.target.String(),
		RetryDelay:    o.retry,
		MaxRetryDelay: max(o.maxRetry, o.retry),
		IdleTimeout:   o.idleTimeout,
		MaxEventSize:  int(o.maxEventSize),
		LikeBrowser:   o.likeBrowser,
		Resend:        o.resend,
		OnState:       l.onState,
	}
	if o.noRetry {
		l.client.MaxRetries = -1
	}
	if o.comments {
		l.client.OnComment = func(text string) { l.ui.say(dim, "comment: %s", text) }
	}
	if o.raw {
		l.print = func(sse.Event) error { return nil }
		l.client.HTTPClient = &http.Client{
			Transport: &tee{base: http.DefaultTransport, write: l.writeRaw},
		}
	}
	return o.setRequest(l.client, w.stdin)
}

// writeRaw writes bytes of the stream. The client would take an error for one
// of the network and connect again, so it ends run as well.
func (l *listener) writeRaw(p []byte) error {
	l.ui.settle()
	_, err := l.ui.out.Write(p)
	if err = outputError(err); err != nil {
		l.stop(err)
	}
	return err
}

// run prints events until something ends it, and returns the exit code.
func (l *listener) run(ctx context.Context) int {
	ctx, l.stop = context.WithCancelCause(ctx)
	defer l.stop(nil)
	if l.options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, l.options.timeout, errTimeout)
		defer cancel()
	}
	defer l.ui.settle()
	for event, err := range l.client.Events(ctx) {
		if tooLarge := (*sse.TooLargeError)(nil); errors.As(err, &tooLarge) {
			l.skipped(tooLarge)
			continue
		}
		if err == nil {
			err = l.take(event)
		}
		if err != nil {
			return l.end(cmp.Or(context.Cause(ctx), err))
		}
		if l.options.count > 0 && l.seen == l.options.count {
			return exitDone
		}
	}
	return l.end(nil)
}

// take prints the event if it was asked for.
func (l *listener) take(event sse.Event) error {
	if !l.options.types.has(typeOf(event)) {
		return nil
	}
	l.seen++
	return l.print(event)
}

// skipped tells of an event that was too large to print.
func (l *listener) skipped(e *sse.TooLargeError) {
	l.ui.say(yellow, "event skipped: %s on the wire, the limit is %s",
		bytesText(e.Size), bytesText(int64(e.Limit)))
	l.ui.hint("--max-event-size raises the limit")
}

// end tells why the stream is over and returns the exit code. Nil: the stream
// itself came to an end.
func (l *listener) end(err error) int {
	if errors.Is(err, errOutputClosed) {
		return exitDone
	}
	var why string
	switch {
	case err == nil:
		why = "the stream ended"
	case errors.Is(err, errInterrupted):
		l.ui.interrupted(l.options.raw)
		why = "interrupted"
	case errors.Is(err, errTimeout):
		why = delayText(l.options.timeout) + " are over"
	default:
		return l.failed(err)
	}
	if l.seen < l.options.count {
		return l.ui.fail(&failure{code: exitFailed,
			message: fmt.Sprintf("%s after %d of %d events", why, l.seen, l.options.count)})
	}
	if errors.Is(err, errTimeout) && !l.ever {
		return l.ui.fail(&failure{code: exitFailed,
			message: why + ", and there was no stream"})
	}
	if err == nil {
		l.ui.say("", "%s", why)
	}
	return exitDone
}

// failed tells of an error that retrying cannot mend, or must not.
func (l *listener) failed(err error) int {
	code := l.ui.fail(explain(err, l.target))
	method := cmp.Or(l.client.Method, http.MethodGet)
	refused := (*sse.ResponseError)(nil)
	if method != http.MethodGet && !l.options.resend && !errors.As(err, &refused) {
		l.ui.hint("a " + method + " is sent only once; --resend sends it again")
	}
	return code
}

// onState says what happens to the connection, each thing once.
func (l *listener) onState(change sse.StateChange) {
	switch change.State {
	case sse.StateConnecting:
		if change.Attempt == 1 {
			l.ui.say("", "connecting to %s", l.target.Redacted())
		} else {
			l.ui.wait("connecting, attempt %d", change.Attempt)
		}
	case sse.StateOpen:
		l.connected(change)
	case sse.StateRetrying:
		l.retrying(change)
	}
}

func (l *listener) connected(change sse.StateChange) {
	l.open, l.ever, l.told = true, true, nil
	id := ""
	if r := change.Response; r != nil && r.Request != nil {
		id = r.Request.Header.Get("Last-Event-ID")
	}
	if id == "" {
		l.ui.say(green, "connected")
		return
	}
	l.ui.say(green, "connected, continuing after %s", shorten(id, 60))
}

func (l *listener) retrying(change sse.StateChange) {
	why, delay := reason(change.Err), delayText(change.Delay)
	what := "not connected"
	if l.open {
		what = "stream lost"
	}
	l.open = false
	if l.told[why] {
		l.ui.wait("attempt %d failed, retrying in %s", change.Attempt, delay)
		return
	}
	if l.told == nil {
		l.told = map[string]bool{}
	}
	l.told[why] = true
	l.ui.say(yellow, "%s (%s), retrying in %s", what, why, delay)
	if change.Err != nil {
		l.ui.hint(advice(change.Err, l.target))
	}
}

// sizeFlag is a number of bytes, such as 65536, 64KiB or 64k.
type sizeFlag int

func (f *sizeFlag) String() string { return strings.ReplaceAll(bytesText(int64(*f)), " ", "") }
func (f *sizeFlag) Set(text string) error {
	digits := strings.TrimRight(text, "kKmMgGiIbB")
	unit := strings.ToLower(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b"))
	shifts := map[string]int{"": 0, "k": 10, "ki": 10, "m": 20, "mi": 20, "g": 30, "gi": 30}
	shift, ok := shifts[unit]
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n <= 0 || n<<shift > math.MaxInt32 {
		return errors.New("a size is a number of bytes, as in 65536, 64KiB or 16MiB")
	}
	*f = sizeFlag(n << shift)
	return nil
}
