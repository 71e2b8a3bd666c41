package sse_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The client gives up after each of the statuses in the list. The error is a
// *ResponseError with the status, the headers and the beginning of the body.
func TestFinalStatus(t *testing.T) {
	for _, status := range []int{
		201, 202, 203, 204, 205, 206, 210, 299, 300, 304, 305, 306,
		400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 412, 418, 421, 423, 426, 451,
	} {
		inBubble(t, strconv.Itoa(status), func(t *testing.T) {
			first := refusal(status, "X-Why", "because", "Content-Type", "text/event-stream",
				"Retry-After", "1") // the client gives up in spite of these fields
			first.Chunks = []string{"data: no event\n\n"}
			f := newFixture(t, first, held("data: a\n\n"))
			err := f.mustFail()
			var got *sse.ResponseError
			if !errors.As(err, &got) {
				t.Fatalf("got the error %v, want a *ResponseError", err)
			}
			if got.StatusCode != status || !strings.HasPrefix(got.Status, strconv.Itoa(status)) {
				t.Errorf("got the status %d, %q, want %d", got.StatusCode, got.Status, status)
			}
			if why := got.Header.Get("X-Why"); why != "because" {
				t.Errorf("got the header X-Why %q, want because", why)
			}
			want := "data: no event\n\n"
			if status == 204 || status == 304 { // RFC 9110 6.4.1: these have no content
				want = ""
			}
			if string(got.Body) != want {
				t.Errorf("got the body %q, want %q", got.Body, want)
			}
			if got.Reason == "" || !strings.Contains(err.Error(), strconv.Itoa(status)) {
				t.Errorf("got the reason %q in %q, want a reason and the status", got.Reason, err)
			}
			f.wantElapsed(0)
			f.wantStates("connecting 1", "closed 1")
			f.wantNoConnection()
		})
	}
}

// HTML 9.2.3: "… if res's status is not 200, or if res's Content-Type is not
// text/event-stream, then fail the connection." Fetch, "extract a MIME type": of
// several values, the last valid one counts.
func TestContentType(t *testing.T) {
	for _, test := range []struct {
		values []string
		ok     bool
	}{
		{[]string{"text/event-stream"}, true},
		{[]string{"text/event-stream; charset=utf-8"}, true},
		{[]string{"text/event-stream;charset=windows-1252"}, true}, // decoded as UTF-8 nevertheless
		{[]string{"text/event-stream;"}, true},
		{[]string{"text/event-stream ; x"}, true},
		{[]string{"Text/EVENT-stream"}, true},
		{[]string{""}, false},
		{nil, false},
		{[]string{"text/event-streams"}, false},
		{[]string{"text/event-stream+x"}, false},
		{[]string{"text/event stream"}, false},
		{[]string{"text /event-stream"}, false},
		{[]string{"text/"}, false},
		{[]string{"/event-stream"}, false},
		{[]string{"text"}, false},
		{[]string{"text/plain"}, false},
		{[]string{"text/plain; type=text/event-stream"}, false},
		{[]string{"text/html; charset=utf-8"}, false},
		{[]string{"application/json"}, false},
		{[]string{"application/x-ndjson"}, false},
		{[]string{"x bogus"}, false},
		// Several values, in one header line or in several.
		{[]string{"text/plain", "text/event-stream"}, true},
		{[]string{"text/event-stream", "text/plain"}, false},
		{[]string{"text/plain, text/event-stream"}, true},
		{[]string{"text/event-stream, text/plain"}, false},
		{[]string{"text/event-stream,text/event-stream;charset=utf-8"}, true},
		{[]string{"text/event-stream;charset=latin1, text/html, text/event-stream"}, true},
		{[]string{"text/event-stream", "*/*"}, true},
		{[]string{"*/*;x, text/event-stream"}, true},
		{[]string{"*/*"}, false},
		{[]string{"text/*, text/event-stream"}, true},
		{[]string{"text/event-stream, text/*"}, false},
		{[]string{"text/event-stream, bogus"}, true},
		{[]string{"text/event-stream", ""}, true},
		{[]string{"", "text/event-stream"}, true},
		{[]string{",text/event-stream,,"}, true},
		{[]string{"bogus, x bogus"}, false},
		{[]string{`text/event-stream;a="x, text/plain"`}, true},
		{[]string{`text/plain;a="x, text/event-stream"`}, false},
		{[]string{`text/plain;a="x\", text/event-stream;b="`}, false},
		{[]string{`text/plain;a="x\\", text/event-stream`}, true},
		{[]string{`text/plain;a="x`, `text/event-stream`}, false},
		{[]string{`text/event-stream;a="x`, `text/plain`}, true},
		{[]string{`text/plain;a="x`, `y", text/event-stream`}, true},
	} {
		inBubble(t, strings.Join(test.values, " | "), func(t *testing.T) {
			first := held("data: a\n\n")
			first.Header = http.Header{"Content-Type": test.values}
			if !test.ok {
				first.Stall = false
			}
			f := newFixture(t, first, held("data: b\n\n"))
			events, err := f.receive(t.Context(), 1)
			if test.ok {
				wantData(t, events, "a")
				return
			}
			var got *sse.ResponseError
			if !errors.As(err, &got) {
				t.Fatalf("got %+v, %v, want a *ResponseError", events, err)
			}
			if got.StatusCode != 200 || string(got.Body) != "data: a\n\n" {
				t.Errorf("got the status %d and the body %q", got.StatusCode, got.Body)
			}
			if !strings.Contains(got.Reason, "Content-Type") {
				t.Errorf("got the reason %q, want a reason that names the Content-Type", got.Reason)
			}
			f.wantRequests(1)
		})
	}
}

// If Content-Encoding names a coding, Events ends at once with an error, even if the
// stream goes on. The only coding that the client accepts is one gzip (see TestGzip). The
// values "identity" and "none", and an empty value, name no coding.
func TestContentEncoding(t *testing.T) {
	for _, test := range []struct {
		values []string
		ok     bool
	}{
		{[]string{""}, true},
		{[]string{"identity"}, true},
		{[]string{"Identity"}, true},
		{[]string{"none"}, true},
		{[]string{"None , identity"}, true},
		{[]string{"none", "", "identity"}, true},
		{[]string{" , ,"}, true},
		{[]string{"br"}, false},
		{[]string{"zstd", "identity"}, false},
		{[]string{"identity, deflate"}, false},
		{[]string{"gzip, gzip"}, false},
		{[]string{"gzip", "br"}, false},
		{[]string{"utf-8"}, false},
	} {
		inBubble(t, strings.Join(test.values, " | "), func(t *testing.T) {
			first := held("data: a\n\n")
			first.Header = http.Header{"Content-Encoding": test.values}
			f := newFixture(t, first)
			if test.ok {
				f.mustReceive(1)
				return
			}
			var got *sse.ResponseError
			name := strings.Join(test.values, ", ")
			if err := f.mustFail(); !errors.As(err, &got) || !strings.Contains(got.Reason, name) {
				t.Errorf("got the error %v, want an error that names %q", err, name)
			}
			f.wantElapsed(0)
			f.wantRequests(1)
			f.wantNoConnection()
		})
	}
}

// gzipped returns the parts of a body as one gzip stream that is flushed after each
// part, and the end of that stream.
func gzipped(parts ...string) (chunks []string, end string) {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	for _, part := range parts {
		io.WriteString(zw, part)
		zw.Flush()
		chunks = append(chunks, b.String())
		b.Reset()
	}
	zw.Close()
	return chunks, b.String()
}

// The client decodes gzip, although it does not ask for gzip. It yields each event as
// soon as the server has flushed the event.
func TestGzip(t *testing.T) {
	for _, coding := range []string{"gzip", "x-gzip", "GZIP", "identity, gzip"} {
		inBubble(t, coding, func(t *testing.T) {
			chunks, end := gzipped("id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n: comment\n", "data: c\n\n")
			_, empty := gzipped()
			header := http.Header{"Content-Encoding": {coding}}
			responses := []ssetest.Response{
				{Header: header, Pause: time.Minute, Chunks: append(chunks, end)},
				{Header: header, Chunks: []string{empty}},
				{Header: header, Chunks: chunks[:1], Cut: true},
				{Header: header, Chunks: chunks, Stall: true},
			}
			f := newFixture(t, responses...)
			var got []string
			for event, err := range f.client.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				elapsed := time.Since(f.start).Round(time.Second)
				if got = append(got, fmt.Sprint(event.Data, " ", elapsed)); len(got) == 7 {
					break
				}
			}
			want := []string{"a 0s", "b 1m0s", "c 2m0s"}
			if !slices.Equal(got[:3], want) {
				t.Errorf("got %q, want %q", got[:3], want)
			}
			if ids := f.sentIDs(); !slices.Equal(ids, []string{"-", "2", "2", "1"}) {
				t.Errorf("sent the IDs %q", ids)
			}
			f.wantNoConnection()
		})
	}
}

// If the header declares gzip but the body does not begin as gzip, Events ends with an
// error. If the body is damaged later, the client retries.
func TestGzipDamaged(t *testing.T) {
	header := http.Header{"Content-Encoding": {"gzip"}}
	synctest.Test(t, func(t *testing.T) {
		first := held("data: this is not gzip\n\n")
		first.Header = header
		f := newFixture(t, first)
		if err := f.mustFail(); !strings.Contains(err.Error(), "the body is not") {
			t.Errorf("got the error %v", err)
		}
		f.wantElapsed(0)
		f.wantRequests(1)
	})
	synctest.Test(t, func(t *testing.T) {
		chunks, _ := gzipped("data: a\n\n")
		f := newFixture(t, ssetest.Response{Header: header, Chunks: append(chunks, "\xFF\xFF\xFF\xFF")},
			held("data: end\n\n"))
		f.receiveUntil("end")
		f.wantRequests(2)
	})
}

// The body of a ResponseError is decoded. A body with an unknown coding is left out.
func TestResponseErrorDecodesBody(t *testing.T) {
	for coding, want := range map[string]string{"gzip": "no such stream", "br": "", "none": ""} {
		inBubble(t, coding, func(t *testing.T) {
			chunks, end := gzipped("no such stream")
			first := refusal(404, "Content-Encoding", coding)
			if first.Chunks = []string{chunks[0] + end}; coding == "none" {
				want, first.Chunks = "plain", []string{"plain"}
			}
			f := newFixture(t, first)
			var got *sse.ResponseError
			if err := f.mustFail(); !errors.As(err, &got) || string(got.Body) != want {
				t.Errorf("got the error %v, want one with the body %q", err, want)
			}
		})
	}
}

// A ResponseError contains at most 4 KiB of the body.
func TestResponseErrorBodyIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := strings.Repeat("no such stream\n", 1000)
		first := refusal(404)
		first.Chunks = []string{body[:3000], body[3000:]}
		f := newFixture(t, first)
		var got *sse.ResponseError
		if err := f.mustFail(); !errors.As(err, &got) {
			t.Fatalf("got the error %v", err)
		} else if len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), "no such stream") {
			t.Errorf("got the message %q, want a short one with the body's first line", err)
		}
		if !bytes.Equal(got.Body, []byte(body[:4096])) {
			t.Errorf("got %d bytes of the body, want the first 4096", len(got.Body))
		}
		f.wantNoConnection()
	})
}

// An error response whose body stalls is reported after 5 s, with the part
// of the body that has arrived.
func TestResponseErrorBodyStalls(t *testing.T) {
	for _, test := range []struct {
		name string
		r    ssetest.Response
		idle time.Duration
		want string
	}{
		{"silent", ssetest.Response{Status: 404, Chunks: []string{"part"}, Stall: true}, 0, "part"},
		{"trickling", ssetest.Response{Status: 404, Chunks: []string{"p", "a", "r", "t"},
			Pause: 2 * time.Second, Stall: true}, 0, "par"},
		{"with an IdleTimeout", ssetest.Response{Status: 404, Chunks: []string{"part"},
			Stall: true}, time.Hour, "part"},
		{"cut", ssetest.Response{Status: 404, Chunks: []string{"part"}, Cut: true}, 0, "part"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, test.r)
			f.client.IdleTimeout = test.idle
			var got *sse.ResponseError
			if err := f.mustFail(); !errors.As(err, &got) || string(got.Body) != test.want {
				t.Errorf("got the error %v, want an error with the body %q", err, test.want)
			}
			want := 5 * time.Second
			if test.r.Cut {
				want = 0
			}
			f.wantElapsed(want)
			f.wantRequests(1)
			f.wantNoConnection()
		})
	}
}

// If the body of a temporary error stalls, the client waits for the body for 5 s, and
// then retries after the usual delay.
func TestRetriedBodyStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := refusal(503)
		first.Stall = true
		f := newFixture(t, first, held("data: a\n\n"))
		f.mustReceive(1)
		f.wantRequestsAt(0, 6*time.Second)
	})
}

// With LikeBrowser, the client gives up after the same statuses as a browser.
func TestLikeBrowser(t *testing.T) {
	for _, status := range []int{204, 404, 408, 425, 429, 500, 502, 503, 504} {
		inBubble(t, strconv.Itoa(status), func(t *testing.T) {
			f := newFixture(t, answer("data: a\n\n"), refusal(status, "Retry-After", "5"))
			f.client.LikeBrowser = true
			events, err := f.receive(t.Context(), 0)
			wantData(t, events, "a")
			var got *sse.ResponseError
			if !errors.As(err, &got) || got.StatusCode != status {
				t.Errorf("got the error %v, want a *ResponseError of status %d", err, status)
			}
			f.wantRequestsAt(0, time.Second)
		})
	}
}

// After the status 101, the body is the connection itself. It does not end, and no
// context closes it. Therefore the client must not read it: it gives up at once.
func TestSwitchingProtocolsIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := ssetest.NewServer(t, http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+
					"Connection: upgrade\r\nUpgrade: x\r\n\r\n")
				io.Copy(io.Discard, conn)
			}), nil)
		client := &sse.Client{URL: server.URL(), HTTPClient: server.Client()}
		for _, err := range client.Events(t.Context()) {
			var refusal *sse.ResponseError
			if !errors.As(err, &refusal) || refusal.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("got %v, want a *ResponseError of status 101", err)
			}
		}
	})
}
