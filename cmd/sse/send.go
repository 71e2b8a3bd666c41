package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const sendIntro = `usage: sse send [flags] URL [DATA]

Publish an event to a topic of a hub, and print the event's ID. DATA is the data of the
event. Without DATA, sse send reads the data from stdin and removes the last line end.

With --lines, sse send publishes each line of stdin as an event when the line arrives. At
the end of stdin, it prints the ID of the last event. Some lines cannot be published, for
example a line that is not UTF-8. At such a line, sse send stops: the hub has stored only
the lines before it, and an error reports their number. With --invalid skip, sse send
continues with the next line. With --invalid replace, it publishes the line with U+FFFD in
place of the bytes that a stream cannot carry.

  sse send :3000/news 'hello'
  sse send --type price :3000/prices/AAPL <quote.json
  tail -f access.log | sse send --lines :3000/log

If the hub is unreachable or fails, sse send tries again until --timeout has passed. Every
attempt has the same Idempotency-Key, so the hub stores the event only once.
Exit code: 0 published, 1 failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// sendOptions are the settings of "sse send".
type sendOptions struct {
	kind, id, eol  string
	lines          bool
	invalid        string
	topics         stringsFlag
	header         headerFlag
	timeout        time.Duration
	idempotencyKey nonEmptyFlag
	key            secretFlag
}

// define declares every flag. The fields of o hold the defaults.
func (o *sendOptions) define(s *settings) {
	s.addGroup("Event")
	s.addFlag(&o.kind, "type", "set the type of the event to `TYPE`, for example price; "+
		"an event without a type has the type message")
	s.addFlag(&o.id, "id", "set the ID of the event to `ID`, for example order-7; "+
		"without it, the hub assigns an ID")
	s.addFlag(&o.lines, "lines", "publish each line of stdin as an event when the line arrives")
	s.addFlag(&o.invalid, "invalid", "do `ACTION` at a line that cannot be published: stop "+
		"ends sse send; skip continues with the next line; replace publishes the line "+
		"with U+FFFD in place of the bytes that a stream cannot carry")
	s.addFlag(&o.eol, "eol", "replace each CR and CRLF in the data with LF, because a stream cannot "+
		"carry CR; the value must be `lf`")

	s.addGroup("Request")
	s.addHint("the port is a part of the URL, for example :3000/news", "port")
	s.addSecretFlag(&o.key)
	s.addFlag(&o.topics, "topic", "publish to `TOPIC`, for example to a topic that cannot be "+
		"a path, such as 'a, b'; URL must then be the address of the hub, without a path")
	s.addFlag(&o.header, "header,H", "send an additional request header `'NAME: VALUE'`, "+
		"for example 'Authorization: Basic …'")
	s.addFlag(&o.idempotencyKey, "idempotency-key", "send `KEY` as the Idempotency-Key, "+
		"for example order-7, so that several runs publish only one event")
	s.addFlag(&o.timeout, "timeout", "try for up to `DURATION`, for example 1m, "+
		"to publish an event; with --lines, the time begins again for each group of lines "+
		"that sse send publishes in one request")
}

// send runs "sse send".
func send(ctx context.Context, p *process, args []string) int {
	o := sendOptions{timeout: 30 * time.Second, invalid: stopAtInvalid}
	flags := newSettings("send")
	o.define(flags)
	operands, err := flags.parse(args, p.env)
	if errors.Is(err, errHelp) {
		return p.ui.printPage(flags.help(sendIntro))
	}
	if err != nil {
		return p.ui.fail(err)
	}
	s, err := o.newSender(operands)
	if err != nil {
		return p.ui.fail(err)
	}
	s.ui = p.ui
	if o.lines {
		err = s.sendLines(ctx, p.stdin)
	} else {
		err = s.sendOne(ctx, operands[1:], p.stdin)
	}
	if err != nil {
		return p.ui.fail(err)
	}
	return exitDone
}

// sender publishes to one URL.
type sender struct {
	options       *sendOptions
	ui            *ui
	target        *url.URL
	header        http.Header // from --header and --key
	retryReported bool        // the report "not published (…), retrying" was printed
}

// newSender checks the settings and returns a sender. The caller must set its ui.
func (o *sendOptions) newSender(operands []string) (*sender, error) {
	switch {
	case len(operands) == 0:
		return nil, usageError("try sse send :3000/news hello", "a URL is required")
	// The messages of these cases contain no operand: if the quotes around a header are
	// missing, one of the operands may be a secret.
	case len(operands) > 2:
		return nil, usageError("put quotes around a value that contains spaces",
			"at most one URL and one DATA are allowed, not %d arguments", len(operands))
	case o.lines && len(operands) == 2:
		return nil, usageError("", "with --lines, the data must come from stdin, not from an argument")
	case o.lines && (o.id != "" || o.idempotencyKey != ""):
		return nil, usageError("--id and --idempotency-key apply to a single event",
			"--lines must not be used with --id or --idempotency-key")
	case o.timeout <= 0:
		return nil, usageError("", "--timeout %v must be greater than 0s", o.timeout)
	}
	if err := o.checkEventFlags(); err != nil {
		return nil, err
	}
	u, err := parseURL(operands[0])
	if err != nil {
		return nil, err
	}
	s := &sender{options: o, target: u, header: o.header.header.Clone()}
	if s.header == nil {
		s.header = http.Header{}
	}
	if err := o.key.addTo(s.header); err != nil {
		return nil, err
	}
	err = s.setTarget()
	return s, err
}

// checkEventFlags checks --invalid and --type. It checks the type before the first line
// is sent, because the hub would report a wrong type as an error of each line.
func (o *sendOptions) checkEventFlags() error {
	switch o.invalid {
	case stopAtInvalid:
	case skipInvalid, replaceInvalid:
		if !o.lines {
			return usageError("", "--invalid must be used with --lines")
		}
	default:
		return usageError("", "--invalid %s must be stop, skip or replace", o.invalid)
	}
	if _, err := sse.AppendEvent(nil, sse.Event{Type: o.kind}); err != nil {
		return usageError("", "--type: %s", text.WithoutPrefix(err))
	}
	if strings.HasPrefix(o.kind, "sse.") {
		return usageError("", `--type %s must not begin with "sse."`, o.kind)
	}
	return nil
}

// setTarget changes the target to the URL of the requests, and adds the settings of
// the event to its query. With --lines, the path becomes /-/batch. With --topic but
// without --lines, the path becomes /-/publish. In both cases, the query names the
// topics. With neither flag, the path remains the topic.
func (s *sender) setTarget() error {
	o, u, query := s.options, s.target, s.target.Query()
	path := strings.Trim(u.Path, "/")
	switch {
	case len(o.topics) > 0 && path != "":
		return usageError("use the URL of the hub: "+u.Host,
			"the URL must have no path with --topic, not /%s", path)
	case len(o.topics) > 0:
		u.Path, u.RawPath = "/-/publish", ""
		query["topic"] = o.topics
	case path == "":
		if u.Port() == "" && u.Hostname() != "localhost" && !strings.Contains(u.Host, ".") {
			return usageError("for the topic "+u.Host+" of a hub on this machine, use :3000/"+u.Host,
				"URL %s must have a host and a topic", u.Host)
		}
		return usageError("add a topic, for example "+u.Host+"/news",
			"URL %s must have a topic", u.Host)
	case strings.Contains(path, "*"):
		return usageError("for a topic whose name contains *, use --topic",
			"/%s must be a topic, not a pattern", path)
	case o.lines && !strings.HasPrefix(path, "-/"):
		query["topic"] = strings.Split(path, ",")
	}
	for name, value := range map[string]string{"type": o.kind, "id": o.id, "eol": o.eol} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.lines {
		u.Path, u.RawPath = "/-/batch", ""
		query.Del("type") // each line of the batch contains the type
	}
	u.RawQuery = query.Encode()
	return nil
}

// sendOne publishes one event. The data of the event is data[0], or stdin if data is
// empty.
func (s *sender) sendOne(ctx context.Context, data []string, stdin io.Reader) error {
	var body []byte
	if len(data) > 0 {
		body = []byte(data[0])
	} else {
		var err error
		if body, err = io.ReadAll(stdin); err != nil {
			return fmt.Errorf("cannot read stdin: %w", err)
		}
		body = bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r"))
	}
	result, err := s.post(ctx, body, "text/plain; charset=utf-8")
	if err != nil {
		return err
	}
	if len(body) == 0 {
		s.ui.report(yellow, "published an event with empty data")
	}
	return s.ui.write(result.ID + "\n")
}

// publishResult is the hub's response to a publish.
type publishResult struct {
	ID     string `json:"id"`
	Kept   *int   `json:"kept"` // number of published lines; nil unless the request has lines
	Error  string `json:"error"`
	Status int    `json:"status"` // the status of the response, if Error is set
	Line   int    `json:"line"`   // the line of the batch that caused Error; 0 if there is none
}

// isFromHub reports whether a response with this status and this result is the
// response of a hub. Other servers, too, respond with an object of JSON.
func (r *publishResult) isFromHub(status int) bool {
	if status == http.StatusOK {
		return r.ID != "" || r.Kept != nil
	}
	return r.Error != "" && r.Status == status
}

// refusal is the failure of a request that a server has answered: the status is not
// 200, or the server is not a hub.
type refusal struct {
	*failure
	status int
	line   int // the line of the batch that the hub refused; 0 if there is none
}

// Unwrap returns the failure, for [errors.As].
func (r *refusal) Unwrap() error { return r.failure }

// post publishes a body. After a temporary error, it waits and tries again. It returns
// the error of the last attempt if this error is not temporary, if the timeout would
// end before the next attempt, or if ctx is done.
func (s *sender) post(ctx context.Context, body []byte, contentType string) (
	*publishResult, error) {
	key := cmp.Or(string(s.options.idempotencyKey), rand.Text())
	deadline := time.Now().Add(s.options.timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		result, retry, err := s.attempt(ctx, body, contentType, key)
		if err == nil {
			return result, nil
		}
		if !retry || time.Now().Add(delay).After(deadline) || context.Cause(ctx) == errInterrupted {
			return nil, err
		}
		if !s.retryReported {
			s.retryReported = true
			s.ui.report(yellow, "not published (%s), retrying for up to %s",
				failureReason(err), formatDelay(time.Until(deadline)))
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// failureReason returns a short text that explains an error of attempt.
func failureReason(err error) string {
	if f := (*failure)(nil); errors.As(err, &f) {
		return text.FirstLine(f.message, 120)
	}
	return reason(err)
}

// attempt sends one request to publish body. If it returns an error, retry reports
// whether another attempt may succeed.
func (s *sender) attempt(ctx context.Context, body []byte, contentType, key string) (
	_ *publishResult, retry bool, err error) {
	request, err := s.request(ctx, body, contentType, key)
	if err != nil {
		return nil, false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, true, &failure{
			message: reason(err), hint: hintFor(err, s.target), code: exitFailed,
		}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, true, err
	}
	var result publishResult
	isHub := json.Unmarshal(content, &result) == nil && result.isFromHub(response.StatusCode)
	f := &failure{message: response.Status + ": " + s.target.Redacted(), code: exitFailed}
	switch {
	case isHub && response.StatusCode == http.StatusOK:
		return &result, false, nil
	case isHub:
		f.message = result.Error
	default:
		if response.StatusCode == http.StatusOK {
			f.message = "the server does not answer as a hub: " + s.target.Redacted()
		}
		f.detail = quoteBody("the server says: ", content)
		f.hint = "the server must be a hub, for example sse serve"
		result.Line = 0 // in this response, "line" does not mean a line of the batch
	}
	if response.StatusCode == http.StatusUnauthorized {
		f.hint = statusHint(&sse.ResponseError{StatusCode: response.StatusCode}, s.target)
	}
	return nil, isTemporary(response.StatusCode), &refusal{f, response.StatusCode, result.Line}
}

// request returns the request that publishes a body of this Content-Type.
func (s *sender) request(ctx context.Context, body []byte, contentType, key string) (
	*http.Request, error) {
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, s.target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = s.header.Clone()
	request.Host = cmp.Or(request.Header.Get("Host"), request.Host)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", contentType)
	}
	if s.options.lines && request.Header.Get("Incremental") == "" {
		request.Header.Set("Incremental", "?1") // RFC 10036: proxies must not wait for more lines
	}
	return request, nil
}

// isTemporary reports whether a request may succeed later if its response has
// this status.
func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
