package sse_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// cursor is the event that tells the position of a server's log.
func cursor(id string) string {
	return "id: " + id + "\nevent: sse.cursor\ndata: \n\n"
}

// Client.Events: "An event of type sse.cursor is not yielded", and of the types
// that begin with sse. it is the only one. A Decoder hides none.
func TestCursorIsHidden(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     []string // id, type and data of what the client yields
		hidden   int      // events that only a Decoder tells
	}{
		{"alone", cursor("7"), nil, 1},
		{"among events", "id: 1\ndata: a\n\n" + cursor("2") + "id: 3\ndata: b\n\n" + cursor("4"),
			[]string{"1//a", "3//b"}, 2},
		{"its ID stays in force", cursor("7") + "data: a\n\n", []string{"7//a"}, 1},
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
				got = append(got, fmt.Sprintf("%s/%s/%s", event.ID, event.Type, event.Data))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if want := len(events); asked != want {
				t.Errorf("Terminal was asked %d times, want %d", asked, want)
			}
			decoded := len(decodeOnly(t, []byte(test.in)))
			if want := len(test.want) + test.hidden; decoded != want {
				t.Errorf("the Decoder told %d events, want %d", decoded, want)
			}
		})
	}
}

// A position is any text, also one that a header would not carry.
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

// A server that accepts, tells its position and dies is one that is down: the
// client slows down, and gives up where it is told to.
func TestCursorIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, broken(cursor("1")))
		f.client.MaxRetries = 6
		err := f.mustFail()
		if !strings.Contains(err.Error(), "gave up after 6 retries") {
			t.Errorf("got the error %v, want one that says that the client gave up", err)
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

// However long it stays in silence but for cursors, a stream that stayed open is
// progress, and each cursor is a sign of life.
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

// Event.Topic: "of this event only", however the network cuts the stream.
func TestClientTopic(t *testing.T) {
	stream := "topic: news\nid: 1\ndata: a\n\ndata: b\n\n" +
		"topic: room/é\ntopic: \xFF\nevent: x\ndata: c\n\n" +
		"topic: lost\n\ntopic: hidden\n" + cursor("2") + "data: d\n\n"
	want := []sse.Event{
		{Topic: "news", ID: "1", Data: "a"},
		{ID: "1", Data: "b"},
		{Topic: fffd, ID: "1", Type: "x", Data: "c"},
		{ID: "2", Data: "d"},
		{ID: "2", Data: "end"}, // another stream
	}
	for name, chunks := range map[string][]string{
		"whole": {stream}, "byte by byte": strings.Split(stream, ""),
	} {
		inBubble(t, name, func(t *testing.T) {
			half := "topic: cut off\n"
			f := newFixture(t, broken(append(chunks, half)...), held("data: end\n\n"))
			if got := f.mustReceive(len(want)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// An event whose topic is too large is skipped, and its ID counts.
func TestClientTopicTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, broken("id: 1\ntopic: "+xs(100)+"\ndata: a\n\ntopic: b\ndata: c\n\n"),
			held("data: end\n\n"))
		f.client.MaxEventSize = 20
		var got []string
		for event, err := range f.client.Events(t.Context()) {
			var large *sse.TooLargeError
			if errors.As(err, &large) {
				got = append(got, "too large "+large.ID)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, event.Topic+" "+event.Data); event.Data == "end" {
				break
			}
		}
		if want := []string{"too large 1", "b c", " end"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := f.sentIDs(), []string{"-", "1"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}
