package sse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// cursor returns an event of type sse.cursor, in wire form. Its ID is a position of the
// server's log. The event carries nothing else.
func cursor(id string) string {
	return "id: " + id + "\nevent: sse.cursor\ndata: \n\n"
}

// Client.Events does not yield events of type sse.cursor. It yields all other types,
// even if they begin with "sse.". A Decoder yields all types.
func TestCursorIsHidden(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     []string // last event id, type and data of the events that the client yields
		hidden   int      // number of events that only a Decoder yields
	}{
		{"alone", cursor("7"), nil, 1},
		{"among events", "id: 1\ndata: a\n\n" + cursor("2") + "id: 3\ndata: b\n\n" + cursor("4"),
			[]string{"1//a", "3//b"}, 2},
		{"its ID stays current", cursor("7") + "data: a\n\n", []string{"7//a"}, 1},
		{"with data", "event: sse.cursor\nid: 7\ndata: x\ndata: y\n\n", nil, 1},
		{"with a topic", "topic: t\n" + cursor("7"), nil, 1},
		{"the last type counts", "event: x\n" + cursor("7") + "event: sse.cursor\nevent: x\ndata: a\n\n",
			[]string{"7/x/a"}, 1},
		{"gap", "id: 7\nevent: sse.gap\ndata: {}\n\n", []string{"7/sse.gap/{}"}, 0},
		{"others", "event: sse.\ndata: a\n\nevent: sse.cursors\ndata: b\n\n" +
			"event: SSE.cursor\ndata: c\n\nevent:  sse.cursor\ndata: d\n\n" +
			"event: cursor\ndata: e\n\n",
			[]string{"/sse./a", "/sse.cursors/b", "/SSE.cursor/c", "/ sse.cursor/d", "/cursor/e"}, 0},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, held(test.in+"event: end\ndata: [DONE]\n\n"))
			asked := 0
			f.client.Terminal = func(event sse.Event) bool {
				asked++
				return isDone(event)
			}
			events, err := f.receive(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, event := range events[:len(events)-1] {
				got = append(got, fmt.Sprintf("%s/%s/%s", event.LastEventID, event.Type, event.Data))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if want := len(events); asked != want {
				t.Errorf("Terminal was called %d times, want %d", asked, want)
			}
			decoded := len(mustDecode(t, []byte(test.in)))
			if want := len(test.want) + test.hidden; decoded != want {
				t.Errorf("the Decoder yields %d events, want %d", decoded, want)
			}
		})
	}
}

// The ID of a cursor may be any text. If a header cannot carry the text unchanged, the
// client sends it in the query.
func TestCursorOfAnyID(t *testing.T) {
	for id, want := range map[string]string{
		"7-42-abcdef": "7-42-abcdef",
		"a&b=c#d +":   "a&b=c#d +",
		"日本":          "日本",
		" leading":    "query  leading",
		"trailing\t":  "query trailing\t",
		"a\x1Fb\x7F":  "query a\x1Fb\x7F",
	} {
		inBubble(t, id, func(t *testing.T) {
			f := newFixture(t, broken("id: 1\ndata: a\n\n"+cursor(id)), held("data: end\n\n"))
			f.receiveUntil("end")
			if got, want := f.sentIDs(), []string{"-", want}; !slices.Equal(got, want) {
				t.Errorf("sent the IDs %q, want %q", got, want)
			}
		})
	}
}

// A stream that sends only a cursor and then breaks is no progress: the delays grow, and
// the client gives up after MaxRetries.
func TestCursorIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, broken(cursor("1")))
		f.client.MaxRetries = 6
		err := f.mustFail()
		wantError(t, err, sse.ErrGaveUp)
		if want := "sse: gave up after 6 retries: "; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got the error %v, want an error that begins with %q", err, want)
		}
		f.wantRequests(7)
		low := time.Second
		for i, got := range f.delays() {
			if got < low {
				t.Errorf("delay %d: got %v, want at least %v", i+1, got, low)
			}
			if i > 0 {
				low = min(2*low, 15*time.Second)
			}
		}
	})
}

// A stream that stays open for MaxRetryDelay is progress, even if it contains only
// cursors. Each cursor restarts IdleTimeout.
func TestCursorKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := answer(cursor("1"), cursor("2"), cursor("3"))
		quiet.Pause = 40 * time.Second
		f := newFixture(t, refusal(503), refusal(503), quiet, held("data: end\n\n"))
		f.client.IdleTimeout = time.Minute
		f.receiveUntil("end")
		if got, want := f.sentIDs(), []string{"-", "-", "-", "3"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
		if got, want := f.delays()[2], time.Second; got != want {
			t.Errorf("got the delay %v after a long stream, want %v", got, want)
		}
	})
}

// StateChange.LastEventID is the ID after which the client continues. OnCursor is
// called for each cursor that changes this ID, and for nothing else.
func TestStateLastEventID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := "id: 6\ndata: " + xs(100) + "\n\n"
		f := newFixture(t,
			broken("data: a\n\nid: 1\ndata: b\n\n"+cursor("2")+cursor("2")+"id: 3\ndata: c\n\n"),
			broken(cursor("4"), "event: sse.cursor\ndata: \n\n"+large),
			held("id\ndata: d\n\nid: 7\ndata: end\n\n"))
		var got []string
		f.client.LastEventID = "0"
		f.client.MaxEventSize = 20
		f.client.OnSkip = func(e *sse.TooLargeError) { got = append(got, "skip "+e.LastEventID) }
		f.client.OnCursor = func(id string) { got = append(got, "cursor "+id) }
		f.onState = func(change sse.StateChange) {
			got = append(got, string(change.State)+" "+change.LastEventID)
		}
		for event, err := range f.client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, "event "+event.LastEventID); event.Data == "end" {
				break
			}
		}
		want := []string{
			"connecting 0", "open 0", "event 0", "event 1", "cursor 2", "event 3", "retrying 3",
			"connecting 3", "open 3", "cursor 4", "skip 6", "retrying 6",
			"connecting 6", "open 6", "event ", "event 7", "closed 7",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n\t%q, want\n\t%q", got, want)
		}
		if got, want := f.sentIDs(), []string{"0", "3", "6"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}
