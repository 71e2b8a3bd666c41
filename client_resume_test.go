package sse_test

import (
	"errors"
	"fmt"
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

// resumeTests have streams, and the IDs that the client must send in the requests for
// them and in one more request. Other clients fail in four of these situations:
//
//   - An initial ID is sent until an event changes it. (tmaxmax/go-sse drops it.)
//   - After an empty id field, no ID is sent. (LaunchDarkly sends the old ID.)
//   - The ID of an incomplete event at the end of a stream is ignored.
//   - The ID of a block that has only an id is used.
var resumeTests = []struct {
	name    string
	initial string
	streams []string // one for each connection
	want    []string // see fixture.sentIDs
}{
	{"none", "", []string{"data: a\n\n"}, []string{"-", "-"}},
	{"of an event", "", []string{"id: 1\ndata: a\n\n"}, []string{"-", "1"}},
	{"of the last event", "", []string{"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"},
		[]string{"-", "2"}},
	{"of an event before the last", "", []string{"id: 1\ndata: a\n\ndata: b\n\n"},
		[]string{"-", "1"}},

	{"initial, empty stream", "start", []string{""}, []string{"start", "start"}},
	{"initial, several empty streams", "start", []string{"", "", ":\n", ""},
		[]string{"start", "start", "start", "start", "start"}},
	{"initial, events without an id", "start", []string{"data: a\n\n", "data: b\n\n"},
		[]string{"start", "start", "start"}},
	{"initial, replaced", "start", []string{"id: 1\ndata: a\n\n", ""},
		[]string{"start", "1", "1"}},

	{"unchanged", "", []string{"id: 1\ndata: a\n\n", "data: b\n\n", ""},
		[]string{"-", "1", "1", "1"}},
	{"cleared", "", []string{"id: 1\ndata: a\n\nid:\ndata: b\n\n", ""},
		[]string{"-", "-", "-"}},
	{"cleared without a colon", "", []string{"id: 1\ndata: a\n\nid\ndata: b\n\n", ""},
		[]string{"-", "-", "-"}},
	{"cleared by the next stream", "", []string{"id: 1\ndata: a\n\n", "id:\ndata: b\n\n", ""},
		[]string{"-", "1", "-", "-"}},
	{"initial, cleared", "start", []string{"id:\ndata: a\n\n", "", ""},
		[]string{"start", "-", "-", "-"}},
	{"cleared without an event", "start", []string{"id\n\n", ""}, []string{"start", "-", "-"}},
	{"cleared, then set", "start", []string{"id\n\n", "id: 1\ndata: a\n\n"},
		[]string{"start", "-", "1"}},

	{"event incomplete", "", []string{"id: 1\ndata: a\n\nid: 2\ndata: b\n"},
		[]string{"-", "1"}},
	{"first event incomplete", "start", []string{"id: 1\ndata: a\n"},
		[]string{"start", "start"}},
	{"only an id, incomplete", "start", []string{"id: 1\n"}, []string{"start", "start"}},
	{"clearing incomplete", "start", []string{"data: a\n\nid:\ndata: b"},
		[]string{"start", "start"}},

	{"only an id", "", []string{"id: 1\n\n"}, []string{"-", "1"}},
	{"only an id, after an event", "", []string{"id: 1\ndata: a\n\nid: 2\n\n"},
		[]string{"-", "2"}},
	{"only an id, then a comment", "", []string{"id: 1\ndata: a\n\nid: 2\n\n:\n"},
		[]string{"-", "2"}},
	{"cursor", "", []string{cursor("7")}, []string{"-", "7"}},
	{"cursor at every start", "start", []string{cursor("7"), cursor("8"), cursor("8") + ":\n"},
		[]string{"start", "7", "8", "8"}},
	{"cursor after an event", "", []string{"id: 1\ndata: a\n\n" + cursor("7")},
		[]string{"-", "7"}},
	{"cursor before an event", "", []string{cursor("7") + "id: 8\ndata: a\n\n"},
		[]string{"-", "8"}},
	{"cursor before an event without an id", "", []string{cursor("7") + "data: a\n\n"},
		[]string{"-", "7"}},
	{"cursor without an id", "", []string{"id: 1\ndata: a\n\nevent: sse.cursor\ndata\n\n"},
		[]string{"-", "1"}},
	{"cursor that clears", "start", []string{"id\nevent: sse.cursor\ndata\n\n"},
		[]string{"start", "-"}},
	{"cursor incomplete", "start", []string{"id: 7\nevent: sse.cursor\ndata: \n"},
		[]string{"start", "start"}},
	{"cursor not ASCII", "", []string{cursor("…é日")}, []string{"-", "…é日"}},
	{"id with NUL", "", []string{"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n"},
		[]string{"-", "1"}},
	{"last of several", "", []string{"id: 1\nid: 2\ndata: a\n\n"}, []string{"-", "2"}},
	{"not ASCII", "", []string{"id: …é日\ndata: a\n\n"}, []string{"-", "…é日"}},
	{"leading zeros, signs", "", []string{"id: 007;q=\"x\", y\ndata: a\n\n"},
		[]string{"-", "007;q=\"x\", y"}},
	{"tab inside", "", []string{"id: a\tb\ndata: a\n\n"}, []string{"-", "a\tb"}},
}

// The next request has the ID that resumeTests lists, however the stream is lost.
func TestResume(t *testing.T) {
	for _, loss := range []struct {
		name string
		lose func(f *fixture, stream string) ssetest.Response
	}{
		{"clean end", func(_ *fixture, s string) ssetest.Response { return answer(s) }},
		{"cut", func(_ *fixture, s string) ssetest.Response { return broken(s) }},
		{"idle", func(f *fixture, s string) ssetest.Response {
			f.client.IdleTimeout = time.Minute
			return held(s)
		}},
		{"Reconnect", func(f *fixture, s string) ssetest.Response {
			f.onState = func(change sse.StateChange) {
				if change.State == sse.StateOpen {
					time.AfterFunc(time.Minute, f.client.Reconnect)
				}
			}
			return held(s)
		}},
	} {
		for _, test := range resumeTests {
			inBubble(t, loss.name+"/"+test.name, func(t *testing.T) {
				f := newFixture(t)
				f.client.LastEventID = test.initial
				for _, stream := range test.streams {
					f.script.Responses = append(f.script.Responses, loss.lose(f, stream))
				}
				f.script.Responses = append(f.script.Responses, held("data: end\n\n"))
				f.receiveUntil("end")
				if got := f.sentIDs(); !slices.Equal(got, test.want) {
					t.Errorf("sent the IDs %q, want %q", got, test.want)
				}
			})
		}
	}
}

// Refusals and a server that is down do not change the ID.
func TestResumeOverRefusals(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*sse.Client)
	}{
		{"LastEventID", func(c *sse.Client) { c.LastEventID = "start" }},
		{"Header", func(c *sse.Client) {
			c.Header = make(http.Header)
			c.Header.Set("Last-Event-ID", "start")
		}},
		{"Header, not canonical", func(c *sse.Client) {
			c.Header = http.Header{"Last-Event-ID": {"start"}} // not canonical
		}},
		{"both", func(c *sse.Client) {
			c.LastEventID = "start"
			c.Header = http.Header{"Last-Event-Id": {"another"}}
		}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, refusal(503), ssetest.Response{Status: 429, Cut: true},
				ssetest.Response{Status: 500}, answer(), answer("id: 1\ndata: a\n\n"), refusal(503),
				answer("id\ndata: b\n\n"), refusal(503), held("data: end\n\n"))
			test.set(f.client)
			f.server.Stop()
			time.AfterFunc(time.Minute, f.server.Start)
			f.receiveUntil("end")
			want := []string{"start", "start", "start", "start", "start", "1", "1", "-", "-"}
			if got := f.sentIDs(); !slices.Equal(got, want) {
				t.Errorf("sent the IDs %q, want %q", got, want)
			}
		})
	}
}

// The client continues after the last event that was delivered to the caller. The IDs of
// later events, which the client has received but not delivered, do not count. There is
// one exception: a block with only an id counts if it directly follows a delivered
// event, because no undelivered event precedes it.
func TestResumeAfterDeliveredEvents(t *testing.T) {
	// behind is the part of the stream after the delivered event. id is the ID in the
	// request that follows.
	for _, test := range []struct{ name, behind, id string }{
		{"event", "id: 2\ndata: b\n\n", "1"},
		{"several", "id: 2\ndata: b\n\nid: 3\ndata: c\n\n", "1"},
		{"only an id, then an event", "id: 2\n\nid: 3\ndata: c\n\n", "2"},
		{"only an id, then an event without an id", "id: 2\n\ndata: c\n\n", "2"},
		{"only an id, then an oversized event",
			"id: 2\n\nid: 3\ndata: 0123456789012345678901\n\n", "2"},
		{"cleared", "id\ndata: b\n\n", "1"},
		{"cursor", cursor("2"), "1"},
		{"cursor, then an event", cursor("2") + "id: 3\ndata: c\n\n", "1"},
		{"too large", "id: 2\ndata: 0123456789012345678901\n\n", "1"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, held("id: 1\ndata: a\n\n"+test.behind), held("data: end\n\n"))
			f.client.MaxEventSize = 20
			f.client.OnSkip = func(*sse.TooLargeError) {}
			var got []string
			for event, err := range f.client.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, event.LastEventID+event.Data); event.Data == "end" {
					break
				}
				f.client.Reconnect()
			}
			if want := []string{"1a", test.id + "end"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if got, want := f.sentIDs(), []string{"-", test.id}; !slices.Equal(got, want) {
				t.Errorf("sent the IDs %q, want %q", got, want)
			}
		})
	}
}

// Wherever the network cuts a stream, the next request continues after the last
// event that the caller has received.
func TestResumeAfterAnyPrefix(t *testing.T) {
	// data is the data of the event, if the part is one; id is the last event ID after it.
	parts := []struct{ text, data, id string }{
		{"id: 1\ndata: a\n\n", "a", "1"},
		{"data: b\n\n", "b", "1"},
		{"id: 2\n\n", "", "2"},
		{":comment\n\n", "", "2"},
		{"id: 3\rdata: c\r\r", "c", "3"},
		{"data: d\nid\n\n", "d", "-"},
		{"id: 4\nid: …\ndata: e\n\n", "e", "…"},
		{cursor("5"), "", "5"},
		{"data: f\n\n", "f", "5"},
		{"retry: 1000\nevent: x\nid: 6\n\n", "", "6"},
	}
	stream := ""
	for _, part := range parts {
		stream += part.text
	}
	synctest.Test(t, func(t *testing.T) {
		for n := range len(stream) + 1 {
			f := newFixture(t, broken(stream[:n]), held("data: end\n\n"))
			got := f.receiveUntil("end")
			want, id, end := []string{}, "-", 0
			for _, part := range parts {
				if end += len(part.text); end > n {
					break
				}
				if id = part.id; part.data != "" {
					want = append(want, part.data)
				}
			}
			if want = append(want, "end"); !slices.Equal(got, want) {
				t.Errorf("after %q: got %q, want %q", stream[:n], got, want)
			}
			if ids := f.sentIDs(); !slices.Equal(ids, []string{"-", id}) {
				t.Errorf("after %q: sent the IDs %q, want %q", stream[:n], ids, id)
			}
		}
	})
}

// A client can resume after any ID, even if a header cannot carry the ID
// unchanged: Stream.LastEventID returns exactly the ID that the handler has sent
// before.
func TestResumeAnyID(t *testing.T) {
	for _, test := range []struct {
		id       string
		inHeader bool
	}{
		{"42", true},
		{"a b", true},
		{"a\tb", true},
		{"é", true},
		{"日本語", true},
		{"\u0085", true},
		{"\uFFFD", true},
		{"😀", true},
		{`"quoted", and; more`, true},
		{"a&b=c#d?e/f%20+g", true},
		{" leading", false},
		{"trailing ", false},
		{"\tleading", false},
		{"trailing\t", false},
		{" ", false},
		{"\t", false},
		{"\x01", false},
		{"a\x1Fb", false},
		{"a\x7Fb", false},
		{" &lastEventId=1#%00+ ", false},
		{"\x1B日本 ", false},
	} {
		for _, query := range []string{"", "?", "?a=b&c=%20d", "?lastEventId=stale"} {
			t.Run(test.id+query, func(t *testing.T) {
				inModes(t, func(t *testing.T, opts *ssetest.ServerOptions) {
					roundTrip(t, opts, test.id, test.inHeader, query)
				})
			})
		}
	}
}

// roundTrip receives an event with the given ID from a Stream, and checks the
// ID in the next request.
func roundTrip(t *testing.T, opts *ssetest.ServerOptions, id string, inHeader bool, query string) {
	t.Helper()
	n := 0
	server := ssetest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer stream.Close()
		switch n++; n {
		case 1:
			_, err = fmt.Fprintf(w, "id: %s\ndata: a\n\n", id) // Send would refuse some of the IDs
		case 2:
			if got := stream.LastEventID(); got != id {
				t.Errorf("the stream's LastEventID is %q, want %q; query %q", got, id, r.URL.RawQuery)
			}
			if got := r.Header.Get("Last-Event-ID"); (got != "") != inHeader {
				t.Errorf("got the header %q, want it set: %v", got, inHeader)
			}
			if got := r.URL.Query().Get("c"); (got == " d") != (query == "?a=b&c=%20d") {
				t.Errorf("got the query %q, want it to include the URL's query", r.URL.RawQuery)
			}
			err = stream.Send(sse.Event{ID: "plain", Data: "b"})
		default:
			if got := stream.LastEventID(); got != "plain" {
				t.Errorf("the third stream's LastEventID is %q, want plain", got)
			}
			err = stream.Send(sse.Event{Data: "end"})
			if errors.Is(err, sse.ErrPeerGone) {
				err = nil // the client may disconnect before Send returns
			}
		}
		if err != nil {
			t.Error(err)
		}
	}), opts)
	f := &fixture{t: t, server: server, client: &sse.Client{
		URL: server.URL() + "/" + query, HTTPClient: server.Client(),
	}}
	if got, want := f.receiveUntil("end"), []string{"a", "b", "end"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Client.LastEventID may contain any bytes. The server receives them unchanged, and
// cannot mistake them for another header field.
func TestResumeInitialIDOfAnyBytes(t *testing.T) {
	for _, id := range []string{"a\nb", "a\r\nX-Evil: 1", "\x00", "\xFF"} {
		inBubble(t, id, func(t *testing.T) {
			f := newFixture(t, held("data: a\n\n"))
			f.client.LastEventID = id
			f.mustReceive(1)
			if r := f.script.Requests()[0]; r.Header.Get("X-Evil") != "" {
				t.Errorf("the ID has become the header %v", r.Header)
			}
			got := f.sentIDs()
			if !slices.Equal(got, []string{id}) && !slices.Equal(got, []string{"query " + id}) {
				t.Errorf("sent %q, want %q", got, id)
			}
		})
	}
}

// The client sends an ID of up to 8 KiB. If an ID is longer, the client does not send
// it: OnState and the log report that the client cannot resume.
func TestResumeLongID(t *testing.T) {
	for _, test := range []struct {
		size int
		sent bool
	}{{1025, true}, {4097, true}, {8 << 10, true}, {8<<10 + 1, false}} {
		inBubble(t, strconv.Itoa(test.size), func(t *testing.T) {
			var log strings.Builder
			setDefaultLogger(t, &log)
			id := xs(test.size)
			f := newFixture(t, answer("id: "+id+"\ndata: a\n\n"), held("data: b\n\n"))
			f.receiveUntil("b")
			want := []string{"-", id}
			if !test.sent {
				want[1] = "-"
			}
			if got := f.sentIDs(); !slices.Equal(got, want) {
				t.Errorf("sent IDs of %d and %d bytes, sent: want %v", len(got[0]), len(got[1]), test.sent)
			}
			var tooLong *sse.FieldError
			reported := errors.As(f.states[3].Err, &tooLong) && tooLong.Field == "id"
			logged := strings.Contains(log.String(), "cannot resume")
			if reported == test.sent || logged == test.sent || f.states[0].Err != nil {
				t.Errorf("reported: %v, logged: %v, want %v", reported, logged, !test.sent)
			}
		})
	}
}

// A later call of Events does not continue after the events of an earlier call. It
// begins after Client.LastEventID.
func TestResumeIsOfOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("id: 1\ndata: a\n\n"))
		last := f.mustReceive(1)[0].LastEventID
		f.mustReceive(1)
		f.client.LastEventID = last // how a caller continues
		f.mustReceive(1)
		if got, want := f.sentIDs(), []string{"-", "-", "1"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}
