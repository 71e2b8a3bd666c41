package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// answer is a response with its body as text.
type answer struct {
	status int
	text   string
	header http.Header
}

// String returns the status and the text, without the LF at the end.
func (a answer) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s", a.status, a.text), "\n")
}

// ask passes a request such as "GET /news" to the API, and returns the response.
// header contains names and values in turn. The Host is localhost, unless header
// contains another Host.
func ask(t *testing.T, a *api.API, request, body string, header ...string) answer {
	t.Helper()
	return askContext(t, t.Context(), a, request, body, header...)
}

func askContext(t *testing.T, ctx context.Context, a *api.API, request, body string,
	header ...string) answer {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r.WithContext(ctx))
	return answer{w.Code, w.Body.String(), w.Header()}
}

// newBroker returns an API and its broker, which stores events in memory.
func newBroker(t *testing.T, set ...func(*api.Options)) (*api.API, *sse.Broker) {
	broker := &sse.Broker{}
	a := newAPI(t, broker, set...)
	broker.Select = a.Select
	return a, broker
}

// row is a request, and the status and text of its response, for example "200 ok".
// If want ends with "…", the response only has to begin with the text before it.
type row struct {
	request string
	header  []string
	body    string
	want    string
}

func checkRows(t *testing.T, a *api.API, rows []row) {
	t.Helper()
	for _, row := range rows {
		if got := ask(t, a, row.request, row.body, row.header...).String(); !isText(got, row.want) {
			t.Errorf("%s %q %.60q\ngot  %s\nwant %s", row.request, row.header, row.body, got, row.want)
		}
	}
}

func isText(got, want string) bool {
	if head, ok := strings.CutSuffix(want, "…"); ok {
		return strings.HasPrefix(got, head)
	}
	return got == want
}

// withKeys makes the API require one of these keys. Each is a line of a key file.
func withKeys(lines ...string) func(*api.Options) {
	return func(o *api.Options) {
		keys, err := auth.ReadKeys(strings.NewReader(strings.Join(lines, "\n")))
		if err == nil {
			o.Authority, err = auth.New(keys, nil)
		}
		if err != nil {
			panic(err)
		}
	}
}

// bearer is the header that sends the secret of a key.
var bearer = []string{"Authorization", "Bearer " + secret}

// fakeLog is a log whose functions a test sets. In place of a function that is nil,
// it calls the method of the embedded Log.
type fakeLog struct {
	api.Log
	publish func(*api.IdempotentRequest, []sse.Entry) ([]sse.Position, bool, error)
	delete  func(topic string) error
}

func (l fakeLog) Publish(ctx context.Context, request *api.IdempotentRequest, entries ...sse.Entry) (
	[]sse.Position, bool, error) {
	if l.publish == nil {
		return l.Log.Publish(ctx, request, entries...)
	}
	return l.publish(request, entries)
}

func (l fakeLog) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	if l.publish == nil {
		return l.Log.PublishOne(ctx, event, topics...)
	}
	positions, _, err := l.publish(withoutRequest, []sse.Entry{{Topics: topics, Event: event}})
	if err != nil {
		return sse.Position{}, err
	}
	return positions[0], nil
}

func (l fakeLog) Delete(ctx context.Context, topic string) error {
	if l.delete == nil {
		return l.Log.Delete(ctx, topic)
	}
	return l.delete(topic)
}

// withoutRequest is the request that a fakeLog passes to its function publish for a
// call of PublishOne.
var withoutRequest = &api.IdempotentRequest{Owner: "none"}

// describe returns the stored events, each as TOPICS|ID|TYPE|RETRY|DATA. ID is empty
// if the publisher has set no ID.
func describe(t *testing.T, broker *sse.Broker) []string {
	t.Helper()
	texts := []string{}
	for _, e := range newestEntries(t, broker, 100_000) {
		texts = append(texts, fmt.Sprintf("%s|%s|%s|%v|%s", strings.Join(e.Topics, ","),
			e.Event.ID, e.Event.Type, e.Event.Retry, e.Event.Data))
	}
	return texts
}

func checkEvents(t *testing.T, broker *sse.Broker, want ...string) {
	t.Helper()
	if got := describe(t, broker); !slices.Equal(got, want) {
		t.Errorf("the stored events are %q, want %q", got, want)
	}
}
