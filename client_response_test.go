package sse_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The client gives up after any 2xx status except 200, and after each of these
// 3xx and 4xx. The error is a *ResponseError with the status, the headers and
// the beginning of the body.
func TestFinalStatus(t *testing.T) {
	for _, status := range []int{
		201, 202, 203, 204, 205, 206, 210, 299, 300, 304, 305, 306,
		400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 412, 418, 421, 423, 426, 451,
	} {
		inBubble(t, strconv.Itoa(status), func(t *testing.T) {
			first := refusal(status, "X-Why", "because", "Content-Type", "text/event-stream",
				"Retry-After", "1") // although it looks like a stream
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
// text/event-stream, then fail the connection."
func TestContentType(t *testing.T) {
	for _, test := range []struct {
		value string
		ok    bool
	}{
		{"text/event-stream", true},
		{"text/event-stream; charset=utf-8", true},
		{"text/event-stream;charset=windows-1252", true}, // decoded as UTF-8 nevertheless
		{"text/event-stream;", true},
		{"text/event-stream ; x", true},
		{"Text/EVENT-stream", true},
		{"", false},
		{"none", false},
		{"text/event-streams", false},
		{"text/event-stream+x", false},
		{"text/event stream", false},
		{"text/plain", false},
		{"text/plain; type=text/event-stream", false},
		{"text/html; charset=utf-8", false},
		{"application/json", false},
		{"application/x-ndjson", false},
		{"x bogus", false},
	} {
		inBubble(t, test.value, func(t *testing.T) {
			first := held("data: a\n\n")
			if first.Header = (http.Header{"Content-Type": {test.value}}); test.value == "none" {
				first.Header["Content-Type"] = nil
			}
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
			if !strings.Contains(got.Reason, "content type") {
				t.Errorf("got the reason %q, want a reason that names the content type", got.Reason)
			}
			f.wantRequests(1)
		})
	}
}

// The client refuses a compressed stream: it does not decompress, and it has
// not asked for compression.
func TestContentEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := refusal(200, "Content-Type", "text/event-stream", "Content-Encoding", "gzip")
		f := newFixture(t, first)
		var got *sse.ResponseError
		if err := f.mustFail(); !errors.As(err, &got) || !strings.Contains(got.Reason, "gzip") {
			t.Errorf("got the error %v, want an error that names gzip", err)
		}
		f.wantRequests(1)
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, ssetest.Response{Header: http.Header{"Content-Encoding": {"identity"}},
			Chunks: []string{"data: a\n\n"}})
		f.mustReceive(1)
	})
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

// A temporary error whose body stalls is retried after 5 s and the delay.
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

// After 101 the body is the connection itself. It does not end, and no context
// closes it.
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
