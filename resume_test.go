package sse_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The four sequences that break peers, and their kin. FIELD.md, Client:
// "Last-Event-ID: an initial one survives retries (tmaxmax drops it); a cleared
// one is really cleared (LaunchDarkly resends the stale one)"; Decoding: "an
// incomplete event at EOF is discarded and its id not recorded", "id-only block
// updates the last id".
var resumeTests = []struct {
	name    string
	initial string
	streams []string // of the connections
	want    []string // Last-Event-ID of the requests, "-": none
}{
	{"none", "", []string{"data: a\n\n"}, []string{"-", "-"}},
	{"of an event", "", []string{"id: 1\ndata: a\n\n"}, []string{"-", "1"}},
	{"of the last event", "", []string{"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"},
		[]string{"-", "2"}},
	{"of an event before the last", "", []string{"id: 1\ndata: a\n\ndata: b\n\n"},
		[]string{"-", "1"}},

	{"initial, nothing came", "start", []string{""}, []string{"start", "start"}},
	{"initial, often", "start", []string{"", "", ":\n", ""},
		[]string{"start", "start", "start", "start", "start"}},
	{"initial, events without", "start", []string{"data: a\n\n", "data: b\n\n"},
		[]string{"start", "start", "start"}},
	{"initial, replaced", "start", []string{"id: 1\ndata: a\n\n", ""},
		[]string{"start", "1", "1"}},

	{"kept", "", []string{"id: 1\ndata: a\n\n", "data: b\n\n", ""},
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

// However a stream is lost, the next request says the same.
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

// Refusals and a server that is not there change nothing.
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
		{"Header, as people write it", func(c *sse.Client) {
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

// Invariant: "LastEventID is what was delivered to the caller, not what was
// received." What is buffered behind a delivered event does not count, whatever
// kind of thing it is; but for an id alone, after which there is nothing that was
// not delivered. It may be all that a client knows of where it is.
func TestResumeAfterWhatWasDelivered(t *testing.T) {
	for _, test := range []struct{ name, behind, id string }{
		{"event", "id: 2\ndata: b\n\n", "1"},
		{"several", "id: 2\ndata: b\n\nid: 3\ndata: c\n\n", "1"},
		{"only an id, then an event", "id: 2\n\nid: 3\ndata: c\n\n", "2"},
		{"only an id, then an event without", "id: 2\n\ndata: c\n\n", "2"},
		{"only an id, then one that is too large",
			"id: 2\n\nid: 3\ndata: 0123456789012345678901\n\n", "2"},
		{"cleared", "id\ndata: b\n\n", "1"},
		{"cursor", cursor("2"), "1"},
		{"cursor, then an event", cursor("2") + "id: 3\ndata: c\n\n", "1"},
		{"too large", "id: 2\ndata: 0123456789012345678901\n\n", "1"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			f := newFixture(t, held("id: 1\ndata: a\n\n"+test.behind), held("data: end\n\n"))
			f.client.MaxEventSize = 20
			var got []string
			for event, err := range f.client.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, event.ID+event.Data); event.Data == "end" {
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

// Wherever the network cuts a stream, what is asked for then follows what the
// caller has got by then.
func TestResumeAfterAnyPrefix(t *testing.T) {
	parts := []struct{ text, data, id string }{ // the ID that is in force after it
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

// Issue 2: "also with ids that a header cannot carry as they are". What a
// handler reads with Stream.LastEventID is what it has sent before.
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

// roundTrip receives an event with the given ID from a real stream, and checks
// that the next stream is asked for what follows it.
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
			err = stream.Send(sse.Event{ID: id, Data: "a"})
		case 2:
			if got := stream.LastEventID(); got != id {
				t.Errorf("the stream's LastEventID is %q, want %q; query %q", got, id, r.URL.RawQuery)
			}
			if got := r.Header.Get("Last-Event-ID"); (got != "") != inHeader {
				t.Errorf("got the header %q, want one: %v", got, inHeader)
			}
			if got := r.URL.Query().Get("c"); (got == " d") != (query == "?a=b&c=%20d") {
				t.Errorf("got the query %q, want what the URL had, too", r.URL.RawQuery)
			}
			err = stream.Send(sse.Event{ID: "plain", Data: "b"})
		default:
			if got := stream.LastEventID(); got != "plain" {
				t.Errorf("then the stream's LastEventID is %q, want plain", got)
			}
			err = stream.Send(sse.Event{Data: "end"})
			if errors.Is(err, sse.ErrPeerGone) {
				err = nil // it leaves once it has this, which may be before Send returns
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

// An ID that the caller has from elsewhere may be anything.
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

// The ID of a later Events is not that of an earlier one; see
// Client.LastEventID.
func TestResumeIsOfOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, held("id: 1\ndata: a\n\n"))
		last := f.mustReceive(1)[0].ID
		f.mustReceive(1)
		f.client.LastEventID = last // how one goes on
		f.mustReceive(1)
		if got, want := f.sentIDs(), []string{"-", "-", "1"}; !slices.Equal(got, want) {
			t.Errorf("sent the IDs %q, want %q", got, want)
		}
	})
}
