package main

import (
	"bufio"
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
)

const sendIntro = `usage: sse send [flags] URL [DATA]

Publish an event to a topic of a hub, and print its id. Without DATA, it is what
stdin has, but for the line end at its end. With --lines, each line of stdin is an
event, published as it comes, and the id of the last is printed.

  sse send :3000/news 'hello'
  sse send --type price :3000/prices/AAPL <quote.json
  tail -f access.log | sse send --lines :3000/log

If the hub cannot be reached, or fails, it is tried again, for --timeout; what has
arrived after all is not published twice (Idempotency-Key).
Exit code: 0 published, 1 failed, 2 usage.
`

// sendOptions are the settings of "sse send".
type sendOptions struct {
	kind, id, eol string
	lines         bool
	topics        stringsFlag
	header        headerFlag
	timeout       time.Duration
	key           string
}

// define declares every flag; the defaults are what o holds.
func (o *sendOptions) define(s *settings) {
	s.group("The event")
	s.add(&o.kind, "type", "its `TYPE`; without one, it is message")
	s.add(&o.id, "id", "its `ID`; without one, the hub gives it one")
	s.add(&o.lines, "lines", "publish each line of stdin as an event, as it comes")
	s.add(&o.eol, "eol", "`lf` makes CR and CRLF, which no stream carries, LF")

	s.group("The request")
	s.add(&o.topics, "topic", "publish to this `TOPIC`; URL is then the hub's")
	s.add(&o.header, "header,H", "send the header `'NAME: VALUE'`")
	s.add(&o.key, "idempotency-key", "one `KEY` for all attempts, of several runs too")
	s.add(&o.timeout, "timeout", "try for `DURATION`, for each event")
}

// send is "sse send".
func send(ctx context.Context, w *world, args []string) int {
	o := sendOptions{timeout: 30 * time.Second}
	s := newSettings("send")
	o.define(s)
	operands, err := s.parse(args, w.env)
	if errors.Is(err, errHelp) {
		return w.ui.page(s.help(sendIntro))
	}
	if err != nil {
		return w.ui.fail(err)
	}
	x, err := o.sender(operands)
	if err != nil {
		return w.ui.fail(err)
	}
	x.ui = w.ui
	if o.lines {
		err = x.sendLines(ctx, w.stdin)
	} else {
		err = x.sendOne(ctx, operands[1:], w.stdin)
	}
	if err != nil {
		return w.ui.fail(err)
	}
	return exitDone
}

// sender publishes to one URL.
type sender struct {
	options *sendOptions
	ui      *ui
	target  *url.URL
	told    bool // that it is tried again
}

// sender checks the settings.
func (o *sendOptions) sender(operands []string) (*sender, error) {
	switch {
	case len(operands) == 0:
		return nil, misuse("try sse send :3000/news hello", "a URL is missing")
	case len(operands) > 2:
		return nil, misuse("data with spaces needs quotes",
			"one URL and one DATA, not also %s", operands[2])
	case o.lines && len(operands) == 2:
		return nil, misuse("", "with --lines the events come from stdin, not from %q", operands[1])
	case o.lines && (o.id != "" || o.key != ""):
		return nil, misuse("", "--id and --idempotency-key are of one event, and --lines has many")
	case o.timeout <= 0:
		return nil, misuse("", "--timeout %v is too short", o.timeout)
	}
	u, err := parseURL(operands[0])
	if err != nil {
		return nil, err
	}
	x := &sender{options: o, target: u}
	err = x.aim()
	return x, err
}

// aim makes the URL one that events are posted to: the topic's or, for lines and for
// topics that a path cannot spell, the hub's own.
func (x *sender) aim() error {
	o, u, query := x.options, x.target, x.target.Query()
	path := strings.Trim(u.Path, "/")
	switch {
	case len(o.topics) > 0 && path != "":
		return misuse("the hub alone: "+u.Host,
			"--topic says where to publish, and so does the path /%s", path)
	case len(o.topics) > 0:
		u.Path, u.RawPath = "/-/publish", ""
		query["topic"] = o.topics
	case path == "":
		if u.Port() == "" && u.Hostname() != "localhost" && !strings.Contains(u.Host, ".") {
			return misuse("on this machine: :3000/"+u.Host, "%s is a host, and no topic", u.Host)
		}
		return misuse("say a topic: "+u.Host+"/news", "%s names no topic", u.Host)
	case strings.Contains(path, "*"):
		return misuse("--topic publishes to a topic whose name has a *", "/%s is a pattern", path)
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
		query.Del("type") // which is in the lines
	}
	u.RawQuery = query.Encode()
	return nil
}

// sendOne publishes the data, or stdin, as one event.
func (x *sender) sendOne(ctx context.Context, data []string, stdin io.Reader) error {
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
	answer, err := x.post(ctx, body, "text/plain; charset=utf-8")
	if err != nil {
		return err
	}
	return x.ui.write(answer.ID + "\n")
}

// sendLines publishes each line: those that have come, at once.
func (x *sender) sendLines(ctx context.Context, stdin io.Reader) error {
	const most = 1000
	in := bufio.NewReaderSize(stdin, 64<<10)
	sent, last := 0, ""
	for {
		var batch bytes.Buffer
		var err error
		for n := 0; n < most && (n == 0 || hasLine(in)) && err == nil; n++ {
			var line string
			if line, err = in.ReadString('\n'); line != "" {
				if err := x.addLine(&batch, line); err != nil {
					return fmt.Errorf("line %d: %w", sent+n+1, err)
				}
			}
		}
		if batch.Len() > 0 {
			answer, err := x.post(ctx, batch.Bytes(), "application/x-ndjson")
			if err != nil {
				return fmt.Errorf("after %d events: %w", sent, err)
			}
			sent, last = sent+answer.Kept, answer.ID
		}
		switch {
		case err == io.EOF && last == "":
			return nil
		case err == io.EOF:
			return x.ui.write(last + "\n")
		case err != nil:
			return fmt.Errorf("cannot read stdin: %w", err)
		}
	}
}

// hasLine reports whether a line can be read without waiting.
func hasLine(in *bufio.Reader) bool {
	buffered, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// addLine adds a line as an event of a batch.
func (x *sender) addLine(batch *bytes.Buffer, line string) error {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if strings.ToValidUTF8(line, "") != line {
		return errors.New("it is not UTF-8")
	}
	encoder := json.NewEncoder(batch)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Type string `json:"type,omitempty"`
		Data string `json:"data"`
	}{x.options.kind, line})
}

// published is the answer of a hub.
type published struct {
	ID    string `json:"id"`
	Kept  int    `json:"kept"`
	Error string `json:"error"`
}

// post publishes a body, and tries again while that may help.
func (x *sender) post(ctx context.Context, body []byte, kind string) (*published, error) {
	key := cmp.Or(x.options.key, rand.Text())
	deadline := time.Now().Add(x.options.timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		answer, again, err := x.attempt(ctx, body, kind, key)
		if err == nil {
			return answer, nil
		}
		if !again || time.Now().Add(delay).After(deadline) || context.Cause(ctx) == errInterrupted {
			return nil, err
		}
		if !x.told {
			x.told = true
			x.ui.say(yellow, "not published (%s), trying again for %s",
				reasonOf(err), delayText(time.Until(deadline)))
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

// reasonOf is an error's text in a few words.
func reasonOf(err error) string {
	if f := (*failure)(nil); errors.As(err, &f) {
		return shorten(f.message, 120)
	}
	return reason(err)
}

// attempt publishes once. It reports whether to try again.
func (x *sender) attempt(ctx context.Context, body []byte, kind, key string) (
	_ *published, again bool, err error) {
	request, err := x.request(ctx, body, kind, key)
	if err != nil {
		return nil, false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, true, &failure{
			message: reason(err), hint: advice(err, x.target), code: exitFailed,
		}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, true, err
	}
	var answer published
	isHub := json.Unmarshal(text, &answer) == nil
	if response.StatusCode == http.StatusOK && isHub {
		return &answer, false, nil
	}
	f := &failure{message: response.Status + ": " + x.target.Redacted(), code: exitFailed}
	if isHub && answer.Error != "" {
		f.message = answer.Error
	} else {
		f.detail = quoteBody("the server says: ", text)
		f.hint = "sse send publishes to a hub, as sse serve is"
	}
	if response.StatusCode == http.StatusUnauthorized {
		f.hint = statusAdvice(&sse.ResponseError{StatusCode: response.StatusCode}, x.target)
	}
	return nil, isTemporary(response.StatusCode), f
}

func (x *sender) request(ctx context.Context, body []byte, kind, key string) (
	*http.Request, error) {
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, x.target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if x.options.header.header != nil {
		request.Header = x.options.header.header.Clone()
	}
	request.Host = cmp.Or(request.Header.Get("Host"), request.Host)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", kind)
	}
	return request, nil
}

// isTemporary reports whether the same request may succeed later.
func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
