package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// brokerLog is a log in the memory of a broker. It ignores idempotency keys.
type brokerLog struct{ *sse.Broker }

func (l brokerLog) Publish(ctx context.Context, _ *api.IdempotentRequest, entries ...sse.Entry) (
	[]sse.Position, bool, error) {
	result, err := l.Append(ctx, sse.AppendRequest{Entries: entries})
	return result.Positions, false, err
}

func (l brokerLog) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	return l.Broker.Publish(ctx, event, topics...)
}

func (l brokerLog) Delete(context.Context, string) error { return nil }

func newAPI(tb testing.TB, broker *sse.Broker, set ...func(*api.Options)) *api.API {
	authority, err := auth.New(nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	opts := api.Options{
		Broker: broker, Log: brokerLog{broker}, Authority: authority,
		MaxEvent: 1 << 20, Closing: context.Background(),
	}
	for _, set := range set {
		set(&opts)
	}
	a, err := api.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

const secret = "0123456789abcdef"

// withKey makes the API require a key whose secret is the constant secret.
func withKey(o *api.Options) {
	key, err := auth.ParseKey("k " + secret + " publish ** subscribe **")
	if err == nil {
		o.Authority, err = auth.New([]auth.Key{key}, nil)
	}
	if err != nil {
		panic(err)
	}
}

// exchange parses a request as net/http does, passes it to the API, and returns the
// response. It returns false if net/http would refuse the request.
func exchange(a *api.API, method, target, body string, header ...string) (*httptest.ResponseRecorder, bool) {
	head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	for i := 0; i < len(header); i += 2 {
		head += header[i] + ": " + header[i+1] + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n")))
	if err != nil || r.Method != method {
		return nil, false
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w, true
}

func newestEntries(tb testing.TB, broker *sse.Broker, n int) []sse.Entry {
	all, err := sse.ParsePattern("**")
	if err != nil {
		tb.Fatal(err)
	}
	page, err := broker.Read(tb.Context(), sse.Selection{Patterns: []sse.Pattern{all}},
		sse.Start{Last: n}, 64<<20)
	if err != nil {
		tb.Fatal(err)
	}
	return page.Entries
}

// result is a response as JSON: to a request that published events, or an error.
type result struct {
	ID    string
	Kept  int
	Error string
}

func decode(tb testing.TB, text string) result {
	tb.Helper()
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		tb.Fatalf("the response is not JSON: %q: %v", text, err)
	}
	return r
}

// A request to publish has one of two results. Either its event is published
// unchanged, or nothing is published and the response is one line with the reason.
func FuzzPublish(f *testing.F) {
	for _, target := range []string{
		"/news", "/a,b", "/room/*", "/a%2Fb", "/a%2Cb", "/%2e%2e/x", "//", "/-/publish?topic=a%2Fb",
		"/%61", "/news?type=a&id=b", "/news?type=%0A", "/news?id=~1", "/news?retry=10", "/?", "*",
		"/caf%C3%A9", "/%ff", "http://localhost/news", "/news?eol=lf", "/a/./b", "/.well-known/x",
		"/-/publish?topic=a&topic=b&type=%20x", "/news?type=%EF%BB%BFx", "/a;b?c;d", "/news#x", "a:/news", "http:/news", "http:news", "HTTPS://127.0.0.1:3000/news",
	} {
		f.Add(target, "hello")
	}
	for _, body := range []string{"", "\n", " x", ":x", "a\rb", "a\r\nb", "\x00", "\xff", "\ufeffx", "id: 1\n\ndata: 2"} {
		f.Add("/news", body)
		f.Add("/news?eol=lf", body)
	}
	f.Fuzz(func(t *testing.T, target, body string) {
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "POST", target, body)
		if !ok {
			return
		}
		stored := newestEntries(t, broker, 10)
		if w.Code != http.StatusOK {
			checkRefused(t, w, stored)
			return
		}
		if strings.HasPrefix(target, "/-/") && !strings.HasPrefix(target, "/-/publish") {
			return // not a request to publish, for example a login without keys
		}
		if len(stored) != 1 {
			t.Fatalf("%d events are stored, want 1", len(stored))
		}
		checkUnchanged(t, &stored[0], target, body)
	})
}

func checkRefused(t *testing.T, w *httptest.ResponseRecorder, stored []sse.Entry) {
	text := w.Body.String()
	if len(stored) > 0 {
		t.Errorf("status %d, but these events were published: %+v", w.Code, stored)
	}
	if w.Code < 400 || w.Code >= 500 || !strings.HasPrefix(text, "sse: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("status %d with %q, want one line with the reason", w.Code, text)
	}
}

func checkUnchanged(t *testing.T, e *sse.Entry, target, body string) {
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		target = rest[strings.IndexAny(rest, "/?"):]
	}
	path, raw, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatalf("published although the query is malformed: %v", err)
	}
	topics := query["topic"]
	if path != "/-/publish" {
		for _, text := range strings.Split(strings.TrimPrefix(path, "/"), ",") {
			topic, err := url.PathUnescape(text)
			if err != nil {
				t.Fatal(err)
			}
			topics = append(topics, topic)
		}
	}
	var unique []string
	for _, topic := range topics {
		if !slices.Contains(unique, topic) {
			unique = append(unique, topic)
		}
	}
	if !slices.Equal(e.Topics, unique) {
		t.Errorf("%s was published to %q, want %q", target, e.Topics, unique)
	}
	if query.Get("eol") == "lf" {
		body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\r", "\n")
	}
	got, want := e.Event, sse.Event{ID: query.Get("id"), Type: query.Get("type"), Data: body}
	got.Retry = 0
	if got != want {
		t.Errorf("%s published %+v, want %+v", target, got, want)
	}
}

// A request with any header has one of two results. Either its body is published
// unchanged, or nothing is published and the response contains the reason.
func FuzzHeaders(f *testing.F) {
	for _, header := range [][2]string{
		{"Content-Type", "multipart/form-data"}, {"Content-Type", "Multipart/Mixed; boundary=\"\""},
		{"Content-Type", "text/plain; charset=utf-16"}, {"Content-Encoding", "gzip"}, {"Content-Encoding", "identity"},
		{"Idempotency-Key", "a"}, {"Idempotency-Key", "\xff"}, {"Idempotency-Key", ""}, {"Accept", "text/html"},
		{"Accept", "application/json"}, {"Origin", "http://localhost"}, {"Origin", "null"}, {"Origin", "http://[::1"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Purpose", "prefetch"}, {"Host", "evil.example"},
		{"Authorization", "Bearer "}, {"Cookie", "sse_session=a.b.c"}, {"Last-Event-ID", "~1"},
		{"X-HTTP-Method-Override", "DELETE"}, {"Connection", "upgrade"}, {"Transfer-Encoding", "x"},
	} {
		f.Add(header[0], header[1], "hello")
	}
	f.Fuzz(func(t *testing.T, name, value, body string) {
		if strings.ContainsAny(name+value, "\r\n") || strings.Contains(name, ":") {
			return // the text would be more than one header
		}
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "POST", "/news", body, name, value)
		if !ok {
			return
		}
		stored := newestEntries(t, broker, 10)
		isJSON := w.Header().Get("Content-Type") == "application/json"
		switch {
		case w.Code == http.StatusOK && len(stored) != 1:
			t.Fatalf("%d events are stored, want 1", len(stored))
		case w.Code == http.StatusOK:
			checkUnchanged(t, &stored[0], "/news", body)
		case isJSON && (len(stored) > 0 || decode(t, w.Body.String()).Error == ""):
			t.Errorf("status %d with %s, and %d events are stored", w.Code, w.Body, len(stored))
		case !isJSON:
			checkRefused(t, w, stored)
		}
	})
}

// PUT publishes the lines of a body unchanged, up to the first invalid line. The
// response contains the number of published lines.
func FuzzLines(f *testing.F) {
	for _, body := range []string{"a\nb\n", "a\nb", "", "\n", "\n\n", "a\r\nb\r\n", "a\rb\n", "\xff\n", "a\n\xff\nb\n"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "PUT", "/log", body, "Accept", "application/json")
		if !ok {
			return
		}
		lines := strings.SplitAfter(body, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		stored := newestEntries(t, broker, len(lines)+1)
		for i := range stored {
			want := strings.TrimSuffix(strings.TrimSuffix(lines[i], "\n"), "\r")
			if got := stored[i].Event.Data; got != want {
				t.Fatalf("line %d is %q, want %q", i+1, got, want)
			}
		}
		if (w.Code == http.StatusOK) != (len(stored) == len(lines)) {
			t.Errorf("status %d, and %d of %d lines are stored", w.Code, len(stored), len(lines))
		}
		answer := decode(t, w.Body.String())
		if answer.Kept != len(stored) || len(stored) > 0 && answer.ID != stored[len(stored)-1].Position.String() {
			t.Errorf("the response is %+v, and %d events are stored", answer, len(stored))
		}
	})
}

// Either all events of a batch are published, or none. No character of their data
// is replaced by U+FFFD.
func FuzzBatch(f *testing.F) {
	for _, body := range []string{
		`{"data":"a"}`, "{\"data\":\"a\"}\n\n{\"data\":{\"x\": 1}}", `{"data":"\ud83d\ude00"}`, `{"data":"\ud83d"}`,
		`{"data":"a","type":"b","id":"c","retry":5,"topics":["x"]}`, `[1]`, `{"data":null}`, `{"data":"\u0000"}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "POST", "/-/batch?topic=a", body, "Accept", "application/json")
		if !ok {
			return
		}
		stored := newestEntries(t, broker, 1<<16)
		answer := decode(t, w.Body.String())
		if answer.Kept != len(stored) || w.Code != http.StatusOK && len(stored) > 0 {
			t.Errorf("status %d: the response is %+v, and %d events are stored", w.Code, answer, len(stored))
		}
		for _, e := range stored {
			if strings.ContainsRune(e.Event.Data, '\ufffd') &&
				!strings.ContainsRune(body, '\ufffd') && !strings.Contains(strings.ToLower(body), `\ufffd`) {
				t.Errorf("%q was published as %q", body, e.Event.Data)
			}
		}
	})
}

// A request to read stored events succeeds, or it is refused. The API never panics
// and never redirects.
func FuzzRead(f *testing.F) {
	for _, target := range []string{
		"/news?follow=0", "/a,b/*?follow=0&since=-1", "/-/events?topic=%00&follow=0", "/**?follow=0&limit=1",
		"/news?follow=0&lastEventId=~1.x", "/news?follow=0&since=%2B", "/%2e?follow=0",
	} {
		f.Add(target, "")
	}
	f.Add("/news?follow=0", "~1.AAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, target, id string) {
		if strings.ContainsAny(id, "\r\n") || !strings.Contains(target, "follow=0") {
			return // the ID would be more than one header, or the response an endless stream
		}
		broker := &sse.Broker{}
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "x"}, "news"); err != nil {
			t.Fatal(err)
		}
		w, ok := exchange(newAPI(t, broker), "HEAD", target, "", "Last-Event-ID", id)
		if !ok {
			return
		}
		if w.Code == http.StatusOK || w.Code >= 400 && w.Code < 500 || w.Code == http.StatusServiceUnavailable {
			return
		}
		t.Errorf("%s: status %d %s", target, w.Code, w.Body)
	})
}
