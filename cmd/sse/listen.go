package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const listenIntro = `usage: sse listen [flags] URL

Print the events of the stream at URL. If the server is unreachable or the connection is
lost, sse listen reconnects, and the stream continues after the last event that sse listen
received. sse listen stops when the response is an error that is not temporary, for
example 404. It sends a request other than GET only once, unless --resend allows more.
URL is https://host/path, host:port/path, or :port/path for a server on this machine.

  sse listen :3000/handshake
  sse listen --since 10m :3000/news,sport     # events of the last 10 minutes, then new ones
  sse listen --count 1 --timeout 10s :3000/jobs/7 && echo job 7 is done
  sse listen --json https://example.com/prices | jq .data
  sse listen -d '{"stream": true}' -H "Authorization: Bearer $KEY" https://…
  sse listen --resend refused -d @question.json https://…  # also retry a POST after 429 or 503

Events go to stdout: on a terminal, the time, type, ID and data of each event, otherwise
only the data. Messages go to stderr. Ctrl-C stops sse listen.
Exit code: 0 done, 1 failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// listenOptions are the settings of "sse listen".
type listenOptions struct {
	json, raw, comments bool
	types               stringsFlag

	header      headerFlag
	key         secretFlag
	method      string
	data        string
	hasData     bool // -d is set; -d "" sends an empty body
	lastEventID string

	since            string
	topics, patterns stringsFlag

	count                int
	timeout, idleTimeout time.Duration

	retry, maxRetry      time.Duration
	noRetry, likeBrowser bool
	resend               resendFlag
	maxEventSize         eventSizeFlag
}

// define declares every flag. The fields of o hold the defaults.
func (o *listenOptions) define(s *settings) {
	s.addGroup("Output")
	s.addFlag(&o.json, "json", "print each event as one line of JSON: "+
		"topics, id, type, data, retry, and received (the time of arrival)")
	s.addFlag(&o.raw, "raw", "print every byte of the stream as it arrives, "+
		"including comments")
	s.addFlag(&o.types, "type", "print only events of `TYPE`, for example price; "+
		"message selects the events without a type")
	s.addFlag(&o.comments, "comments", "print comments of the stream, "+
		"for example heartbeats, to stderr")

	s.addGroup("Events to request from a hub")
	s.addFlag(&o.since, "since", "begin with the events since `START`, "+
		"for example earliest, -10 (the last ten), 10m (ago) or 2006-01-02T15:04:05Z")
	s.addFlag(&o.topics, "topic", "subscribe to `TOPIC`, for example to a topic that cannot be "+
		"a path, such as 'a, b'; URL must then be the address of the hub, without a path")
	s.addFlag(&o.patterns, "pattern", "subscribe to topics that match `PATTERN`, "+
		"for example 'room/*'; URL must then be the address of the hub, without a path")

	s.addGroup("When to stop")
	s.addFlag(&o.count, "count", "print `N` events, for example 1, and exit with code 0; "+
		"0 means no limit")
	s.addFlag(&o.timeout, "timeout", "stop after `DURATION`, for example 10s; exit with code 1 "+
		"if the stream did not open, or if fewer events than --count were printed; "+
		"0 means no limit")

	s.addGroup("Request")
	s.addHint("the port is a part of the URL, for example :3000/news", "port")
	s.addSecretFlag(&o.key)
	s.addFlag(&o.header, "header,H", "send an additional request header `'NAME: VALUE'`, "+
		"for example 'Authorization: Basic …'")
	s.addFlag(&o.method, "method,X", "use `METHOD`, for example PUT; "+
		"without it, the method is GET, or POST with --data")
	s.addFlag(&o.data, "data,d", "send `DATA` as the body, for example '{\"stream\": true}', "+
		"@FILE for a file, or @- for stdin")
	s.addFlag(&o.lastEventID, "last-event-id", "continue after the event with this `ID`, "+
		"for example 42")

	s.addGroup("Connection")
	s.addFlag(&o.retry, "retry", "wait `DELAY`, for example 500ms, before the first attempt to "+
		"reconnect, unless the server sends a delay")
	s.addFlag(&o.maxRetry, "max-retry", "double the delay after each failed attempt, "+
		"up to `DELAY`, for example 30s; if DELAY is not longer than --retry, the delay stays the same")
	s.addFlag(&o.noRetry, "no-retry", "connect only once; exit with code 1 "+
		"if the attempt fails or the connection is lost")
	s.addFlag(&o.likeBrowser, "like-browser", "stop at every status except 200, for example "+
		"at 503, as a browser does")
	s.addFlag(&o.resend, "resend", "set `WHEN` to repeat a request other than GET, for example "+
		"POST: never; refused, to repeat it if no connection was established or the status is "+
		"408, 425, 429 or 503, because the server has then not processed the request; or always, "+
		"to repeat it also if it fails in another way or its stream is lost")
	s.addFlag(&o.idleTimeout, "idle-timeout", "reconnect after `DURATION` without a byte, "+
		"for example 45s for a server that sends a heartbeat every 15s; 0 means no limit")
	s.addFlag(&o.maxEventSize, "max-event-size", "skip events larger than `SIZE`, for example 64KiB")
}

// check returns an error if a setting is out of range, or if two settings must not
// be used together.
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
			return usageError("", "%s %v must be at least %v", d.name, d.value, d.least)
		}
	}
	switch {
	case o.raw && o.json:
		return usageError("", "--raw and --json must not be used together")
	case o.raw && len(o.types) > 0:
		return usageError("--raw prints the whole stream and cannot select events",
			"--raw and --type must not be used together")
	case o.count < 0:
		return usageError("", "--count %d must not be negative", o.count)
	case o.method != "" && !isToken(o.method):
		return usageError("", "-X %q must be a method, for example POST", o.method)
	}
	return nil
}

// listen runs "sse listen".
func listen(ctx context.Context, p *process, args []string) int {
	// By default, the delay before an attempt does not grow. One attempt per second
	// is no load for a server, and the stream is open at most about one second after
	// the server is reachable again.
	o := listenOptions{
		retry: time.Second, maxRetry: time.Second, maxEventSize: 16 << 20, resend: resendNever,
	}
	s := newSettings("listen")
	o.define(s)
	operands, err := s.parse(args, p.env)
	if errors.Is(err, errHelp) {
		return p.ui.printPage(s.help(listenIntro))
	}
	if err != nil {
		return p.ui.fail(err)
	}
	o.hasData = s.given["data"]
	target, err := o.target(operands)
	if err != nil {
		return p.ui.fail(err)
	}
	l := &listener{options: o, ui: p.ui, target: target, print: p.ui.eventPrinter(o.json)}
	if err := l.createClient(p); err != nil {
		return p.ui.fail(err)
	}
	return l.run(ctx)
}

// target checks the settings and returns the URL of the request. It returns an error
// unless operands contains exactly one URL.
func (o *listenOptions) target(operands []string) (*url.URL, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	switch len(operands) {
	case 0:
		return nil, usageError("try sse listen :3000/handshake", "a URL is required")
	case 1:
		u, err := parseURL(operands[0])
		if err != nil {
			return nil, err
		}
		return o.selectEvents(u)
	}
	// The message does not contain the operands: if the quotes around a header are
	// missing, one of the operands is a secret.
	return nil, usageError("put quotes around a value that contains spaces",
		"exactly one URL is required, not %d", len(operands))
}

// selectEvents adds --since, --topic and --pattern to the query of u. With --topic or
// --pattern, the path of the result is hubEventsPath.
func (o *listenOptions) selectEvents(u *url.URL) (*url.URL, error) {
	query := u.Query()
	if o.since != "" {
		if _, err := sse.ParseStart(o.since); err != nil {
			return nil, usageError("for example --since -10, --since 7d or --since 2006-01-02T15:04:05Z",
				"--since %s must be earliest, latest, -N, a duration or an RFC 3339 time", o.since)
		}
		query.Set("since", o.since)
	}
	if len(o.topics)+len(o.patterns) > 0 {
		if u.Path != "" && u.Path != "/" && u.Path != hubEventsPath {
			return nil, usageError("use the URL of the hub: "+u.Host,
				"the URL must have no path with --topic or --pattern: %s", u.Redacted())
		}
		u.Path, u.RawPath = hubEventsPath, ""
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

// hubEventsPath is a path that every hub has. In a URL with this path, the query names
// the topics and patterns. A topic that cannot be a path, such as "a, b", needs this
// path.
const hubEventsPath = "/-/events"

// listener prints one stream.
type listener struct {
	options listenOptions
	ui      *ui
	print   printEvent
	target  *url.URL
	client  *sse.Client
	stop    context.CancelCauseFunc // ends run

	printed  int             // number of received events that --type selects
	isOpen   bool            // set by reportOpen, cleared by reportRetry
	wasOpen  bool            // the stream has been open at least once
	reported map[string]bool // reasons reported since the stream was last open
}

// errTimeout is the cause of a context that --timeout has ended.
var errTimeout = errors.New("timeout reached")

// createClient creates the client for the settings.
func (l *listener) createClient(p *process) error {
	o := &l.options
	l.client = &sse.Client{
		URL:           l.target.String(),
		RetryDelay:    o.retry,
		MaxRetryDelay: max(o.maxRetry, o.retry),
		IdleTimeout:   o.idleTimeout,
		MaxEventSize:  int(o.maxEventSize),
		LikeBrowser:   o.likeBrowser,
		Resend:        o.resend.allows,
		OnState:       l.reportState,
		OnSkip:        l.reportSkipped,
	}
	if o.noRetry {
		l.client.MaxRetries = -1
	}
	if o.comments {
		l.client.OnComment = func(text string) { l.ui.report(dim, "comment: %s", text) }
	}
	if o.raw {
		l.print = func(sse.Event) error { return nil }
		l.client.HTTPClient = &http.Client{
			Transport: &teeTransport{base: http.DefaultTransport, write: l.writeRaw},
		}
	}
	return o.setRequest(l.client, p.stdin)
}

// writeRaw writes bytes of the stream to stdout. If the write fails, writeRaw also
// cancels the context of run, because the client would treat the error as a network
// error and reconnect.
func (l *listener) writeRaw(p []byte) error {
	l.ui.clearProgress()
	_, err := l.ui.out.Write(p)
	if err = outputError(err); err != nil {
		l.stop(err)
	}
	return err
}

// run prints events and returns the exit code. It returns when --count events were
// printed, when ctx is canceled, when the timeout is reached, or when stdout cannot be
// written. It also returns when the stream ends and the client does not reconnect.
func (l *listener) run(ctx context.Context) int {
	ctx, l.stop = context.WithCancelCause(ctx)
	defer l.stop(nil)
	if l.options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, l.options.timeout, errTimeout)
		defer cancel()
	}
	defer l.ui.clearProgress()
	for event, err := range l.client.Events(ctx) {
		if err == nil {
			err = l.printSelected(event)
		}
		if err != nil {
			return l.finish(cmp.Or(context.Cause(ctx), err))
		}
		if l.options.count > 0 && l.printed == l.options.count {
			return exitDone
		}
	}
	return l.finish(nil)
}

// printSelected prints the event if --type selects it.
func (l *listener) printSelected(event sse.Event) error {
	if !l.options.types.selects(eventjson.TypeOf(event)) {
		return nil
	}
	l.printed++
	return l.print(event)
}

// reportSkipped reports an event that was too large to print.
func (l *listener) reportSkipped(e *sse.TooLargeError) {
	l.ui.report(yellow, "event skipped: it has more than %s", formatSize(int64(e.Limit)))
	l.ui.hint("raise the limit with --max-event-size")
}

// finish returns the exit code for err, after which no more events follow. Err is nil
// if the server has ended the stream and the client does not reconnect. finish also
// reports the cause, with two exceptions. It reports nothing if stdout is closed. It
// reports an interrupt or the timeout only if this makes the command fail.
func (l *listener) finish(err error) int {
	if errors.Is(err, errOutputClosed) {
		return exitDone
	}
	var cause string
	switch {
	case err == nil:
		cause = "the stream ended"
	case errors.Is(err, errInterrupted):
		l.ui.clearInterrupt(l.options.raw)
		cause = "interrupted"
	case errors.Is(err, errTimeout):
		cause = "timeout of " + formatDelay(l.options.timeout) + " reached"
	default:
		return l.fail(err)
	}
	if l.printed < l.options.count {
		return l.ui.fail(&failure{code: exitFailed,
			message: fmt.Sprintf("%s after %d of %d events", cause, l.printed, l.options.count)})
	}
	if errors.Is(err, errTimeout) && !l.wasOpen {
		return l.ui.fail(&failure{code: exitFailed,
			message: cause + " before the stream opened"})
	}
	if err == nil {
		l.ui.report("", "%s", cause)
	}
	return exitDone
}

// fail reports an error after which the client does not reconnect. It returns
// the exit code.
func (l *listener) fail(err error) int {
	code := l.ui.fail(explain(err, l.target))
	method := cmp.Or(l.client.Method, http.MethodGet)
	refused := (*sse.ResponseError)(nil)
	if method == http.MethodGet || l.options.noRetry || errors.As(err, &refused) {
		return code
	}
	switch l.options.resend {
	case resendNever:
		l.ui.hint("sse listen sends a " + method + " only once; " +
			"to repeat it, use --resend refused or --resend always")
	case resendRefused:
		l.ui.hint("the server may have processed the " + method + "; " +
			"to repeat it nevertheless, use --resend always")
	}
	return code
}

// reportState reports a change of the connection. It reports the same failure only
// once until the stream is open again.
func (l *listener) reportState(change sse.StateChange) {
	switch change.State {
	case sse.StateConnecting:
		if change.Attempt == 1 {
			l.ui.report("", "connecting to %s", l.target.Redacted())
		} else {
			l.ui.showProgress("connecting, attempt %d", change.Attempt)
		}
	case sse.StateOpen:
		l.reportOpen(change)
	case sse.StateRetrying:
		l.reportRetry(change)
	}
}

func (l *listener) reportOpen(change sse.StateChange) {
	l.isOpen, l.wasOpen, l.reported = true, true, nil
	id := ""
	if r := change.Response; r != nil && r.Request != nil {
		id = r.Request.Header.Get("Last-Event-ID")
	}
	if id == "" {
		l.ui.report(green, "connected")
		return
	}
	l.ui.report(green, "connected, continuing after ID %s", text.FirstLine(id, 60))
}

func (l *listener) reportRetry(change sse.StateChange) {
	cause, delay := reason(change.Err), formatDelay(change.Delay)
	status := "not connected"
	if l.isOpen {
		status = "stream lost"
	}
	l.isOpen = false
	if l.reported[cause] {
		l.ui.showProgress("attempt %d failed, retrying in %s", change.Attempt, delay)
		return
	}
	if l.reported == nil {
		l.reported = map[string]bool{}
	}
	l.reported[cause] = true
	l.ui.report(yellow, "%s (%s), retrying in %s", status, cause, delay)
	if change.Err != nil {
		l.ui.hint(hintFor(change.Err, l.target))
	}
}
