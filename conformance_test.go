package sse_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// decodable returns the bodies of a case that are event streams, in order. A
// case whose caller stops is about that and not about a stream.
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
			// Each body in turn is cut everywhere, and the others are whole.
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

// decodeVector decodes the bodies of a case and says what is not as expected.
func decodeVector(v *vector, bodies []io.Reader) string {
	const initial = 3000
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
			got = append(got, vectorEvent{event.Type, event.Data, event.ID})
		}
		lastEventID = d.LastEventID()
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
