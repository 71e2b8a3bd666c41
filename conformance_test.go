package sse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// vector is one case of testdata/conformance. The README there explains the members.
type vector struct {
	Name, Source, Group, What string

	BrowserOnly  bool // only a browser can run it
	CallerCloses bool // the caller closes the stream in the state Expect.CloseAt
	Response     *vectorResponse
	Then         []vectorResponse // to later requests; the last response is repeated
	Expect       vectorExpect
}

// responses returns the responses to all requests, in order.
func (v *vector) responses() []vectorResponse {
	if v.Response == nil {
		return nil
	}
	return append([]vectorResponse{*v.Response}, v.Then...)
}

// vectorResponse is a response of the server.
type vectorResponse struct {
	Status   int
	Headers  map[string]string // "{{SELF}}" in a value is the server's own address
	Body     []byte
	Chunks   [][]byte // Body in pieces, to be written one by one; nil for any pieces
	DelayMs  int      // before the headers
	KeepOpen bool     // the response does not end
}

// vectorExpect is the expected result. If Events is empty, no event is expected. Any
// other field that is nil or empty is not compared.
type vectorExpect struct {
	Events             []vectorEvent
	Outcome            string // such as "reconnect", "fatal" or "open"
	Requests           []vectorRequest
	RequestCount       int
	ReconnectionTimeMs *int
	ReconnectionTime   any // a float64 (ms), or "initial"
	LastEventID        *string
	Error              bool     // there is an error event in the state CLOSED
	Errors             []string // the state at each error event
	Open               bool
	ReadyState         string
	States             []string
	CloseAt            string // the state in which the caller closes the stream: connecting, open
	URL                string // an invalid URL to use
	Preflight          *bool  // a browser sends a preflight; this client never does
	Note               string // for the reader
}

type vectorEvent struct{ Type, Data, LastEventID string }

// vectorRequest describes a request: its method, headers, and headers it must
// not have.
type vectorRequest struct {
	Method  string
	Headers map[string]string
	Absent  []string
}

// loadVectors returns all cases.
func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	file, err := os.Open(filepath.Join("testdata", "conformance", "wpt-vectors.json"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields() // so that no member of a case is overlooked
	var vectors []vector
	if err := decoder.Decode(&vectors); err != nil {
		tb.Fatal(err)
	}
	return vectors
}

// decodable returns the bodies of a case that are event streams, in order. It
// returns none for a case that only a browser can run, and none for a case whose
// caller closes the stream, because such a case is not about decoding.
func (v *vector) decodable() (bodies [][]byte) {
	if v.BrowserOnly || v.CallerCloses {
		return nil
	}
	for _, response := range v.responses() {
		essence, _, _ := strings.Cut(response.Headers["Content-Type"], ";")
		if response.Status == 200 && essence == "text/event-stream" {
			bodies = append(bodies, response.Body)
		}
	}
	return bodies
}

func TestConformanceVectors(t *testing.T) {
	vectors := loadVectors(t)
	runnable := 0
	for _, v := range vectors {
		if !v.BrowserOnly {
			runnable++
		}
		for i, r := range v.responses() {
			if whole := bytes.Join(r.Chunks, nil); r.Chunks != nil && !bytes.Equal(whole, r.Body) {
				t.Errorf("%s, response %d: the chunks are %q, want the body %q", v.Name, i+1, whole, r.Body)
			}
		}
	}
	if got, want := len(vectors), 93; got != want {
		t.Errorf("cases: got %d, want %d", got, want)
	}
	if got, want := runnable, 73; got != want {
		t.Errorf("cases that can be run: got %d, want %d", got, want)
	}
}

func TestConformanceDecoder(t *testing.T) {
	ran := 0
	for _, v := range loadVectors(t) {
		bodies := v.decodable()
		if len(bodies) == 0 {
			continue
		}
		ran++
		t.Run(v.Name, func(t *testing.T) {
			// Cut one body at every offset, and leave the others whole.
			for i := range bodies {
				forAnyPieces(bodies[i], func(name string, r io.Reader) {
					readers := make([]io.Reader, len(bodies))
					for j, body := range bodies {
						readers[j] = &pieces{rest: [][]byte{body}}
					}
					readers[i] = r
					if diff := decodeVector(&v, readers); diff != "" {
						t.Fatalf("%s: %s: response %d, %s: %s", v.Source, v.What, i+1, name, diff)
					}
				})
			}
		})
	}
	if got, want := ran, 57; got != want {
		t.Errorf("cases that concern the decoder: got %d, want %d", got, want)
	}
}

// decodeVector decodes the bodies of a case and describes the first mismatch,
// or returns "".
func decodeVector(v *vector, bodies []io.Reader) string {
	const initial = 3000 // the reconnection time, in ms, before a retry field sets it
	var got []vectorEvent
	lastEventID, reconnectionTime := "", initial
	for _, body := range bodies {
		d := sse.NewDecoder(body, &sse.DecoderOptions{
			LastEventID: lastEventID,
			OnRetry:     func(delay time.Duration) { reconnectionTime = int(delay.Milliseconds()) },
		})
		for event, err := range d.Events() {
			if err != nil {
				return fmt.Sprintf("got error %v, want none", err)
			}
			if event.Type == "" {
				event.Type = "message"
			}
			got = append(got, vectorEvent{event.Type, event.Data, event.LastEventID})
		}
		lastEventID = sse.LastEventID(d)
	}
	if want := v.Expect.Events; !slices.Equal(got, want) {
		return fmt.Sprintf("events:\n got %q\nwant %q", got, want)
	}
	if want := v.Expect.LastEventID; want != nil && lastEventID != *want {
		return fmt.Sprintf("last event id: got %q, want %q", lastEventID, *want)
	}
	if want := v.Expect.ReconnectionTimeMs; want != nil && reconnectionTime != *want {
		return fmt.Sprintf("reconnection time: got %d, want %d", reconnectionTime, *want)
	}
	switch want := v.Expect.ReconnectionTime.(type) {
	case float64:
		if reconnectionTime != int(want) {
			return fmt.Sprintf("reconnection time: got %d, want %v", reconnectionTime, want)
		}
	case string:
		if reconnectionTime != initial {
			return fmt.Sprintf("reconnection time: got %d, want the %s one", reconnectionTime, want)
		}
	}
	return ""
}
