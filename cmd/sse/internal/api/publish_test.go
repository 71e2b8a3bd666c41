package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// positionOf returns the text of the broker's position, which is the position of the
// newest event.
func positionOf(t *testing.T, broker *sse.Broker) string {
	t.Helper()
	at, err := broker.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return at.String()
}

// The response to a publisher contains the ID of the event, as text or as JSON.
func TestResponsesToPublishers(t *testing.T) {
	json := []string{"Accept", "application/json"}
	for _, test := range []struct {
		request string
		header  []string
		body    string
		want    string // with ID for the position of the event
		event   string
	}{
		{"POST /a", nil, "x", "200 ID", "a|||0s|x"},
		{"POST /a", nil, "", "200 ID", "a|||0s|"},
		{"POST /a?id=i", nil, "x", "200 i", "a|i||0s|x"},
		{"POST /a?id=i", json, "x", `200 {"id":"i"}`, "a|i||0s|x"},
		{"POST /a?id=%3Cb%3E", json, "x", `200 {"id":"<b>"}`, "a|<b>||0s|x"},
		{"POST /a?id=%3Chtml%3E", nil, "x", "200 <html>", "a|<html>||0s|x"},
		{"POST /a", json, "x", `200 {"id":"ID"}`, "a|||0s|x"},
		{"POST /a", []string{"Accept", "text/plain", "Accept", "x/y+json"}, "x", `200 {"id":"ID"}`, "a|||0s|x"},
		{"POST /a", []string{"Accept", "text/plain"}, "x", "200 ID", "a|||0s|x"},
		{"POST /-/publish?topic=a&topic=b", nil, "x", "200 ID", "a,b|||0s|x"},
		{"PUT /a?type=t&retry=5", nil, "x", "200 kept 1, last id ID", "a||t|5ms|x"},
		{"PUT /-/publish?topic=a&type=t", nil, "x", "200 kept 1, last id ID", "a||t|0s|x"},
		{"PUT /a", json, "x", `200 {"id":"ID","kept":1}`, "a|||0s|x"},
		{"PUT /a?split=lines", nil, "x", "200 kept 1, last id ID", "a|||0s|x"},
		{"POST /a?split=lines&type=t&retry=5", nil, "x\r\n", "200 kept 1, last id ID", "a||t|5ms|x"},
		{"POST /-/publish?topic=a&split=lines", json, "x", `200 {"id":"ID","kept":1}`, "a|||0s|x"},
		{"POST /-/batch?topic=a", nil, `{"data":"x"}`, "200 kept 1, last id ID", "a|||0s|x"},
		{"POST /-/batch?topic=a", nil, `{"data":"x","id":"i"}`, "200 kept 1, last id i", "a|i||0s|x"},
		{"POST /-/batch?topic=a", json, `{"data":"x"}`, `200 {"id":"ID","kept":1}`, "a|||0s|x"},
		{"PUT /-/batch?topic=a", nil, `{"data":"x"}`, "200 kept 1, last id ID", "a|||0s|x"},
		{"POST /a?eol=lf", nil, "x\r\ny\rz\n", "200 ID", "a|||0s|x\ny\nz\n"},
		{"PUT /a?eol=lf", nil, "x\ry\r\r\n", "200 kept 1, last id ID", "a|||0s|x\ny\n"},
		{"PUT /a", nil, "x\r\n", "200 kept 1, last id ID", "a|||0s|x"},
		{"POST /-/batch?topic=a&eol=lf", nil, `{"data":"x\r\ny"}`, "200 kept 1, last id ID", "a|||0s|x\ny"},
	} {
		a, broker := newBroker(t)
		got := ask(t, a, test.request, test.body, test.header...)
		want := strings.ReplaceAll(test.want, "ID", positionOf(t, broker)) + "\n"
		if got := fmt.Sprintf("%d %s", got.status, got.text); got != want {
			t.Errorf("%s %q: %s, want %s", test.request, test.header, got, want)
		}
		if _, ok := got.header["Idempotent-Replayed"]; ok {
			t.Errorf("%s: the response says that the request was replayed", test.request)
		}
		form := "text/plain; charset=utf-8"
		if strings.Contains(test.want, "{") {
			form = "application/json"
		}
		if got := got.header.Get("Content-Type"); got != form {
			t.Errorf("%s %q: Content-Type is %q, want %q", test.request, test.header, got, form)
		}
		checkEvents(t, broker, test.event)
	}
}

// The API converts line ends before it calls the log. Therefore the size limit and
// the digest for idempotency apply to the converted data.
func TestLineEnds(t *testing.T) {
	for _, test := range []struct{ request, body, want string }{
		{"POST /a?eol=lf", "x\r\ny\rz\n\r", "x\ny\nz\n\n"},
		{"PUT /a?eol=lf", "x\ry\r\n", "x\ny"},
		{"POST /-/batch?topic=a&eol=lf", `{"data":"x\r\ny\r"}`, "x\ny\n"},
	} {
		var data []string
		a, _ := newBroker(t, func(o *api.Options) {
			o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
				for _, e := range entries {
					data = append(data, e.Event.Data)
				}
				return make([]sse.Position, len(entries)), false, nil
			}}
		})
		if got := ask(t, a, test.request, test.body); got.status != 200 || !slices.Equal(data, []string{test.want}) {
			t.Errorf("%s %q: %s, published %q, want %q", test.request, test.body, got, data, test.want)
		}
	}
	a, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
	full := strings.Repeat("x", 14) + strings.Repeat("\r", 10) // 24 + 11*7 = 101 bytes
	if got := ask(t, a, "POST /a?eol=lf", full); got.status != 413 {
		t.Errorf("an event of 101 bytes: %s, want 413", got)
	}
	if got := ask(t, a, "POST /a?eol=lf", full[1:]); got.status != 200 {
		t.Errorf("an event of 100 bytes: %s, want 200", got)
	}
	checkEvents(t, broker, "a|||0s|"+strings.ReplaceAll(full[1:], "\r", "\n"))
}

func TestBodiesRefused(t *testing.T) {
	const (
		multipart = "415 sse: the body must be the data itself, not multipart; with curl, use -d, " +
			"or --data-binary @FILE for a file, but not -F"
		utf8  = "400 sse: the data must be UTF-8, because an event stream carries nothing else; encode other data, for example as base64"
		large = "413 sse: an event must have at most 100 bytes on the wire, including 7 for each line of its data; " +
			"the hub's flag --max-event-size sets this limit"
	)
	cr := func(at int) string {
		return fmt.Sprintf("400 sse: the data has a CR at byte %d, and an event stream cannot carry a CR; "+
			"add ?eol=lf to convert line ends to LF", at)
	}
	a, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
	gzip := `415 sse: the body must be the data itself, not compressed: Content-Encoding is "gzip"`
	for _, path := range []string{"POST /a", "POST /-/batch?topic=a", "PUT /a", "PUT /-/batch?topic=a", "POST /-/publish?topic=a&type=t"} {
		checkRows(t, a, []row{
			{path, []string{"Content-Type", "multipart/form-data; boundary=x"}, "x", multipart},
			{path, []string{"Content-Type", "Multipart/"}, "x", multipart},
			{path, []string{"Content-Encoding", "gzip"}, "x", gzip},
			{path, []string{"Content-Encoding", "identity, gzip"}, "x", gzip},
			{path, []string{"Content-Encoding", "none", "Content-Encoding", "gzip,br"}, "x", gzip},
		})
	}
	checkRows(t, a, []row{
		{"POST /a", nil, "\r", cr(0)},
		{"POST /a", nil, "ab\r\n", cr(2)},
		{"POST /a", nil, "a\xffb", utf8},
		{"POST /a?eol=lf", nil, "a\r\xffb", utf8},
		{"POST /a", nil, strings.Repeat("x", 94), large},
		{"POST /a", nil, strings.Repeat("x", 101), large},
		{"POST /a", nil, strings.Repeat("x", 86) + "\n", large},
		{"PUT /a", nil, strings.Repeat("x", 101), large + "; before the error: kept 0"},
		{"PUT /a?id=i", nil, "x", "400 sse: id must not be set, because each line is an event"},
		{"POST /a?id=i&split=lines", nil, "x", "400 sse: id must not be set, because each line is an event"},
		{"POST /a?split=words", nil, "x", "400 sse: split must be lines, to publish each line of the body as an event"},
		{"PUT /a?split=", nil, "x", "400 sse: split must be lines, to publish each line of the body as an event"},
		{"POST /-/batch?topic=a&split=lines", nil, `{"data":"x"}`, `400 sse: the parameter "split" is unknown; …`},
		{"POST /a?type=a%0A", nil, "x", `400 sse: event "a\n"…`},
		{"POST /a?id=~1", nil, "x", `400 sse: id "~1" must not begin with "~": the hub assigns such IDs`},
		{"POST /a?id=" + url.QueryEscape(positionOf(t, broker)), nil, "x", `400 sse: id "~…`},
	})
	checkEvents(t, broker)
	for _, header := range [][]string{
		{"Content-Type", "multipart"}, {"Content-Type", "xmultipart/"}, {"Content-Type", "text/plain"},
		{"Content-Encoding", "identity"}, {"Content-Encoding", ""}, {"Content-Encoding", "none"},
		{"Content-Encoding", " Identity ,None, "}, {"Content-Encoding", "none", "Content-Encoding", "identity"},
	} {
		if got := ask(t, a, "POST /a", "x", header...); got.status != 200 {
			t.Errorf("%q: %s, want 200", header, got)
		}
	}
	for _, body := range []string{strings.Repeat("x", 93), strings.Repeat("x", 85) + "\n"} {
		if got := ask(t, a, "POST /a", body); got.status != 200 {
			t.Errorf("a body of exactly the limit: %s, want 200", got)
		}
	}
}

// pieces is a body that returns one part in each read, and then the error err.
type pieces struct {
	parts []string
	err   error
	reads int // number of reads so far
}

func (p *pieces) Read(b []byte) (int, error) {
	p.reads++
	if len(p.parts) == 0 {
		return 0, p.err
	}
	n := copy(b, p.parts[0])
	if p.parts[0] = p.parts[0][n:]; p.parts[0] == "" {
		p.parts = p.parts[1:]
	}
	return n, nil
}

func (p *pieces) Close() error { return nil }

// send passes a request with a body of unknown length to the API.
func send(t *testing.T, a *api.API, request string, body io.ReadCloser, header ...string) answer {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+target, nil)
	r.Body, r.ContentLength = body, -1
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

// A body that is cut off is not published. With PUT, its complete lines are. The
// response is the last on its connection.
func TestBodiesCutOff(t *testing.T) {
	for _, test := range []struct {
		request string
		parts   []string
		want    string
		stored  []string
	}{
		{"POST /a", []string{"hel"}, "400 sse: the body is incomplete or malformed", nil},
		{"POST /-/batch?topic=a", []string{"{\"data\":\"x\"}\n"}, "400 sse: the body is incomplete or malformed", nil},
		{"PUT /a", []string{"one\ntw"}, "400 sse: the body is incomplete or malformed; its last, incomplete line " +
			"was not published; before the error: kept 1, last id ID", []string{"a|||0s|one"}},
		{"PUT /a", []string{"one\n", "two\nth"}, "400 sse: the body is incomplete or malformed; its last, incomplete line " +
			"was not published; before the error: kept 2, last id ID", []string{"a|||0s|one", "a|||0s|two"}},
		{"PUT /a", []string{"on"}, "400 sse: the body is incomplete or malformed; its last, incomplete line " +
			"was not published; before the error: kept 0", nil},
		{"PUT /a", nil, "400 sse: the body is incomplete or malformed; its last, incomplete line " +
			"was not published; before the error: kept 0", nil},
		{"PUT /-/batch?topic=a", []string{"{\"data\":\"x\"}\n{\"data\":\"y\"}"}, "400 sse: the body is incomplete or malformed; " +
			"its last, incomplete line was not published; before the error: kept 1, last id ID", []string{"a|||0s|x"}},
	} {
		a, broker := newBroker(t)
		got := send(t, a, test.request, &pieces{parts: test.parts, err: io.ErrUnexpectedEOF})
		want := test.want
		if want = strings.ReplaceAll(want, "ID", positionOf(t, broker)); got.String() != want {
			t.Errorf("%s %q: %s, want %s", test.request, test.parts, got, want)
		}
		if got := got.header.Get("Connection"); got != "close" {
			t.Errorf("%s %q: Connection is %q, want close", test.request, test.parts, got)
		}
		checkEvents(t, broker, test.stored...)
	}
}

// A body that arrives in pieces is published as one event. A body that is longer
// than the limit is refused when more bytes than the limit have arrived.
func TestBodiesInPieces(t *testing.T) {
	a, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
	for _, test := range []struct {
		parts []string
		want  int
		reads int
	}{
		{[]string{"a", "b", "c"}, 200, 4},
		{[]string{strings.Repeat("x", 50), strings.Repeat("y", 43)}, 200, 3},
		{[]string{strings.Repeat("x", 50), strings.Repeat("y", 50), "z", "z"}, 413, 3},
		{[]string{strings.Repeat("x", 100)}, 413, 2},
		{[]string{strings.Repeat("x", 101), "z"}, 413, 1},
	} {
		body := &pieces{parts: test.parts, err: io.EOF}
		if got := send(t, a, "POST /a", body); got.status != test.want || body.reads != test.reads {
			t.Errorf("%q: %s after %d reads, want %d after %d", test.parts, got, body.reads, test.want, test.reads)
		}
	}
	checkEvents(t, broker, "a|||0s|abc", "a|||0s|"+strings.Repeat("x", 50)+strings.Repeat("y", 43))
	// If Content-Length is too large or zero, the API does not read the body at all.
	for length, want := range map[int64]int{101: 413, 0: 200} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/a", nil)
		body := &pieces{err: io.EOF}
		r.Body, r.ContentLength = body, length
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want || body.reads != 0 {
			t.Errorf("%d bytes: %d after %d reads, want %d after none", length, w.Code, body.reads, want)
		}
	}
}

// The log receives the owner, the idempotency key and a digest of the events. The
// digest depends on every field of an event, and on the place where a field ends: the
// ID "ab" and the type "c" differ from the ID "a" and the type "bc".
func TestIdempotentRequests(t *testing.T) {
	var requests []*api.IdempotentRequest
	var events []string
	replay := false
	a, _ := newBroker(t, withKeys("k "+secret+" publish **", "l "+secret+"l publish **"), func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: func(r *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
			requests = append(requests, r)
			events = nil
			for _, e := range entries {
				events = append(events, fmt.Sprint(e.Topics, e.Event))
			}
			return make([]sse.Position, len(entries)), replay, nil
		}}
	})
	digest := func(request, body string) [32]byte {
		t.Helper()
		requests = nil
		got := ask(t, a, request, body, append(slices.Clip(bearer), "Idempotency-Key", "key")...)
		if got.status != 200 || len(requests) != 1 || requests[0] == nil || requests[0].Key != "key" || requests[0].Owner != "k" {
			t.Fatalf("%s: %s, the log received %+v, want the key of k", request, got, requests)
		}
		if got.header["Idempotent-Replayed"] != nil {
			t.Errorf("%s: the response says that the request was replayed", request)
		}
		return requests[0].Digest
	}
	seen := map[[32]byte]string{}
	for _, test := range [][2]string{
		{"POST /a", "x"}, {"POST /b", "x"}, {"POST /a,b", "x"}, {"POST /b,a", "x"}, {"POST /a/b", "x"}, {"POST /a", "y"}, {"POST /a", ""},
		{"POST /a", "xx"}, {"POST /a?id=x", ""}, {"POST /a?type=x", ""}, {"POST /a?id=x", "x"}, {"POST /a?type=x", "x"},
		{"POST /a?retry=1", "x"}, {"POST /a?retry=2", "x"}, {"POST /a?id=ab&type=c", "x"}, {"POST /a?id=a&type=bc", "x"},
		{"POST /a?type=b", "cx"}, {"POST /ab,c", "x"}, {"POST /a,bc", "x"}, {"POST /a", "xa"},
		{"POST /-/batch?topic=a", "{\"data\":\"x\"}\n{\"data\":\"y\"}"}, {"POST /-/batch?topic=a", "{\"data\":\"y\"}\n{\"data\":\"x\"}"},
		{"POST /-/batch?topic=a", "{\"data\":\"x\"}\n{\"data\":\"x\"}"},
	} {
		name := test[0] + " " + test[1]
		sum := digest(test[0], test[1])
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[sum] = name
		if again := digest(test[0], test[1]); again != sum {
			t.Errorf("%s has another digest the second time", name)
		}
	}
	if digest("POST /a", "x") != digest("POST /-/batch?topic=a", `{"data":"x"}`) {
		t.Error("an event and a batch of the same event have different digests")
	}
	// Each access key is an owner of its own. Without the header Idempotency-Key, the
	// log receives no request.
	requests = nil
	ask(t, a, "POST /a", "x", "Authorization", "Bearer "+secret+"l", "Idempotency-Key", strings.Repeat("x", 255))
	ask(t, a, "POST /a", "x", bearer...)
	ask(t, a, "POST /-/batch?topic=a", `{"data":"x"}`, bearer...)
	if len(requests) != 3 || requests[0].Owner != "l" || len(requests[0].Key) != 255 || requests[1] != withoutRequest || requests[2] != nil {
		t.Errorf("the log received %+v", requests)
	}
	for _, header := range [][]string{
		{"Idempotency-Key", ""}, {"Idempotency-Key", strings.Repeat("x", 256)}, {"Idempotency-Key", "a", "Idempotency-Key", "a"},
	} {
		for _, request := range []string{"POST /a", "POST /-/batch?topic=a", "PUT /a", "POST /a?split=lines", "PUT /-/batch?topic=a"} {
			got := ask(t, a, request, "", append(slices.Clip(bearer), header...)...).String()
			if want := "400 sse: Idempotency-Key must be one header of 1 to 255 bytes"; got != want {
				t.Errorf("%s %.40q: %s, want %s", request, header, got, want)
			}
		}
	}
	replay = true
	for _, request := range []string{"POST /a", "POST /-/batch?topic=a"} {
		got := ask(t, a, request, `{"data":"x"}`, append(slices.Clip(bearer), "Idempotency-Key", "key")...)
		if got.status != 200 || got.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s again: %s %v, want Idempotent-Replayed", request, got, got.header)
		}
	}
}

// The data of an event does not share memory with a buffer that another request
// uses.
func TestBodiesAreNotShared(t *testing.T) {
	a, broker := newBroker(t)
	ask(t, a, "POST /a", "first")
	ask(t, a, "POST /a", "other")
	checkEvents(t, broker, "a|||0s|first", "a|||0s|other")
	var body bytes.Buffer
	body.WriteString(strings.Repeat("x", 200_000))
	if got := send(t, a, "POST /a", io.NopCloser(&body)); got.status != http.StatusOK {
		t.Errorf("a body of unknown length: %s, want 200", got)
	}
}
