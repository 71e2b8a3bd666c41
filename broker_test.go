package sse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/heap"
)

func TestBrokerMinimal(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		f.Publish("before")
		l := f.Listen("")
		p := f.Publish("hello")
		f.Publish("elsewhere", "news")
		l.Want(t, "hello")
		if got := l.Events()[0].ID; got != p.String() {
			t.Errorf("got id %q, want %q", got, p)
		}
	})
}

func TestBrokerTopics(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		news := f.Listen("?topic=news")
		both := f.Listen("?topic=news&topic=sport&withTopic=1")
		f.Publish("1", "news")
		f.Publish("2", "sport")
		f.Publish("3", "news", "sport", "news")
		f.Publish("4", "other")
		f.Publish("5")
		news.Want(t, "1", "3")
		both.Want(t, "1", "2", "3")
		var topics []string
		for _, e := range both.Events() {
			topics = append(topics, e.Topic)
		}
		if want := []string{"news", "sport", "news"}; !slices.Equal(topics, want) {
			t.Errorf("got topics %q, want %q", topics, want)
		}
	})
}

// An event on several topics reaches the subscribers of each topic. The broker loops
// over the topics of the event. In this loop it wakes subscribers, and looks up the
// topics of each of them. The look-up must not disturb the loop.
func TestEventOnSeveralTopics(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		clients := []*brokertest.Client{
			f.Listen("?topic=c&topic=a"), f.Listen("?topic=b"), f.Listen("?topic=c"),
		}
		f.Publish("1", "a", "b", "c")
		for _, c := range clients {
			c.Want(t, "1")
		}
	})
}

func TestBrokerResumes(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		l := f.Listen("?topic=a")
		f.Publish("1", "a")
		l.Want(t, "1")
		f.Server.CutAll()
		f.Publish("2", "a")
		f.Publish("x", "b")
		f.Publish("3", "a")
		time.Sleep(2 * time.Second)
		l.Want(t, "1", "2", "3")
	})
}

func TestBrokerSince(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.TopicRetention = []sse.TopicRetention{{Pattern: mustPattern(t, "short"), Events: 2}}
		f.Serve()
		for i := range 5 {
			f.Publish(fmt.Sprint(i), "short")
			f.Publish(fmt.Sprint(i), "long")
			time.Sleep(time.Minute)
		}
		f.Listen("?topic=long&since=earliest").Want(t, "0", "1", "2", "3", "4")
		f.Listen("?topic=short&since=earliest").Want(t, "3", "4")
		f.Listen("?topic=short&topic=long&since=earliest").Want(t, "0", "1", "2", "3", "3", "4", "4")
		f.Listen("?topic=long&since=-2").Want(t, "3", "4")
		f.Listen("?topic=short&since=-9").Want(t, "3", "4")
		f.Listen("?topic=long&since=latest").Want(t)
		f.Listen("?topic=long&since=2m30s").Want(t, "3", "4")
		f.Listen("?topic=short&since=2m30s").Want(t, "3", "4")
		f.Listen("?topic=short&since=3m30s").Want(t, "gap: trimmed", "3", "4")
	})
}

func TestBrokerHeartbeat(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		resp := get(t, f.Server)
		first := make([]byte, 1)
		if _, err := resp.Body.Read(first); err != nil {
			t.Fatal(err)
		}
		read(t, resp.Body, "d: ~0.") // the cursor, after its first byte "i"
		start := time.Now()
		skip := make([]byte, len("AAAAAAAAAAAAAAAA\nevent: sse.cursor\ndata: \n\n"))
		if _, err := readFull(resp, skip); err != nil {
			t.Fatal(err)
		}
		read(t, resp.Body, ":\n")
		if got := time.Since(start); got != 15*time.Second {
			t.Errorf("the heartbeat came after %v", got)
		}
		p := f.Publish("x", "foreign")
		read(t, resp.Body, "id: "+p.String()+"\nevent: sse.cursor\ndata: \n\n")
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("the cursor came after %v", got)
		}
		read(t, resp.Body, ":\n")
	})
}

// Each stream receives a heartbeat exactly at the end of each interval, whatever the
// other streams receive. An interval that is shorter than a millisecond counts as a
// millisecond.
func TestHeartbeatInterval(t *testing.T) {
	for _, test := range []struct{ interval, want, tick time.Duration }{
		{1, time.Millisecond, time.Millisecond},
		{10 * time.Millisecond, 10 * time.Millisecond, time.Millisecond},
		{10 * time.Second, 10 * time.Second, 625 * time.Millisecond},
		{5 * time.Minute, 5 * time.Minute, time.Second},
	} {
		inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
			f.Broker.Streams.Heartbeat, f.Broker.Cursor = test.interval, sse.CursorOff
			f.Serve()
			start := time.Now()
			first := listenRaw(t, f, "", nil)
			time.Sleep(test.tick)
			second := listenRaw(t, f, "", nil)
			time.Sleep(3 * test.want)
			for _, s := range []*rawStream{first, second} {
				got := s.takeHeartbeats(start)
				for i := range 3 {
					if after := got[i+1] - got[i]; after != test.want {
						t.Errorf("%v: heartbeat %d came after %v, want %v", test.interval, i, after, test.want)
					}
				}
			}
		})
	}
}

// A heartbeat is a comment, a comment with an empty line after it (a block), or an
// event. If the client's position has changed, the broker sends a cursor with the new
// position: in place of a comment, but in addition to an event.
func TestBrokerHeartbeatForm(t *testing.T) {
	for _, test := range []struct {
		name, want string
		options    sse.StreamOptions
		cursor     sse.CursorForm
	}{
		{"comment", ":\n", sse.StreamOptions{}, sse.CursorOff},
		{"block", ":\n\n", sse.StreamOptions{HeartbeatBlock: true}, sse.CursorOff},
		{"event", "event: ping\ndata: \n\n", sse.StreamOptions{HeartbeatEvent: "ping"}, sse.CursorOff},
		{"event and cursor", "id: CURSOR\n\nevent: ping\ndata: \n\n",
			sse.StreamOptions{HeartbeatEvent: "ping"}, sse.CursorBlock},
		{"cursor in a comment", ": cursor CURSOR\n", sse.StreamOptions{}, sse.CursorComment},
		{"cursor in a comment that is a block", ": cursor CURSOR\n\n",
			sse.StreamOptions{HeartbeatBlock: true}, sse.CursorComment},
		{"event and cursor in a comment", ": cursor CURSOR\nevent: ping\ndata: \n\n",
			sse.StreamOptions{HeartbeatEvent: "ping"}, sse.CursorComment},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				f.Broker.Streams, f.Broker.Cursor = test.options, test.cursor
				f.Broker.Streams.Retry = time.Minute
				f.Broker.Streams.Heartbeat = 7 * time.Second
				f.Serve()
				from, err := f.Broker.Position(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				resp := get(t, f.Server)
				read(t, resp.Body, "retry: 60000\n\n")
				cursor, _, _ := strings.Cut(test.want, "event")
				if test.cursor != sse.CursorOff {
					read(t, resp.Body, strings.ReplaceAll(cursor, "CURSOR", from.String()))
				}
				start := time.Now()
				p := f.Publish("x", "foreign")
				read(t, resp.Body, strings.ReplaceAll(test.want, "CURSOR", p.String()))
				if got := time.Since(start); got != 7*time.Second {
					t.Errorf("the heartbeat came after %v, want 7s", got)
				}
			})
		})
	}
}

// Selection.Cursor sets the form of the cursor for one stream. Streams with other forms
// are not affected.
func TestSelectionCursor(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Cursor = sse.CursorBlock
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			return sse.Selection{Cursor: sse.CursorForm(r.URL.Query().Get("cursor"))}, nil
		}
		f.Serve()
		from, err := f.Broker.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		forms := map[sse.CursorForm]string{
			"":                "id: CURSOR\n\n",
			sse.CursorBlock:   "id: CURSOR\n\n",
			sse.CursorEvent:   "id: CURSOR\nevent: sse.cursor\ndata: \n\n",
			sse.CursorComment: ": cursor CURSOR\n",
			sse.CursorOff:     ":\n",
		}
		responses := map[sse.CursorForm]*http.Response{}
		for form, want := range forms {
			responses[form] = open(t, f, "cursor="+string(form))
			read(t, responses[form].Body, strings.ReplaceAll(want, "CURSOR", from.String()))
		}
		p := f.Publish("x", "foreign")
		for form, want := range forms { // after 15 seconds, in place of a heartbeat
			read(t, responses[form].Body, strings.ReplaceAll(want, "CURSOR", p.String()))
		}
		p = f.Publish("x")
		for form := range forms {
			read(t, responses[form].Body, "id: "+p.String()+"\ndata: x\n\n")
		}
		refused := open(t, f, "cursor=bloc")
		text, err := io.ReadAll(refused.Body)
		want := `sse: Selection.Cursor "bloc": it must be empty, "event", "block", "comment" or "off"` + "\n"
		if err != nil || refused.StatusCode != http.StatusBadRequest || string(text) != want {
			t.Errorf("an unknown form: %s %q, %v, want 400 %q", refused.Status, text, err, want)
		}
	})
}

// The last event of a stream that the broker ends is Streams.Final.
func TestBrokerFinal(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Streams.Final = &sse.Event{Type: "bye", Data: "see you"}
		f.Broker.Cursor = sse.CursorOff
		f.Serve()
		resp := get(t, f.Server)
		read(t, resp.Body, ":\n")
		time.AfterFunc(time.Second, func() { _ = f.Broker.Shutdown(t.Context()) })
		body, err := io.ReadAll(resp.Body)
		want := regexp.MustCompile(`^retry: \d+\n\nevent: bye\ndata: see you\n\n$`)
		if err != nil || !want.Match(body) {
			t.Errorf("the stream ends with %q, %v, want a retry field and the event bye", body, err)
		}
	})
}

func readFull(resp *http.Response, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := resp.Body.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// A received event can be published again unchanged. The broker ignores the fields
// Topic, LastEventID and ClearID, even if a value is invalid because the event comes
// from another kind of server. It also ignores an ID that is the text of a position.
func TestPublishReceivedEvent(t *testing.T) {
	id := sse.Position{Epoch: 7, Seq: 42, Check: 1}.String()
	for _, event := range []sse.Event{
		{Topic: "a\nb", Data: "x"},
		{LastEventID: "a\nb", Data: "x"},
		{ClearID: true, Data: "x"},
		{ID: id, LastEventID: id, Data: "x"},
	} {
		inLogs(t, func(t *testing.T, b *sse.Broker) { publishReceived(t, b, event) })
	}
}

// publishReceived publishes event with Publish and with Append. It checks that the
// published events have the data x, and no other field of event.
func publishReceived(t *testing.T, broker *sse.Broker, event sse.Event) {
	t.Helper()
	if _, err := broker.Publish(t.Context(), event, "news"); err != nil {
		t.Error(err)
	}
	entries := []sse.Entry{{Event: event, Topics: []string{"news"}}}
	if _, err := broker.Append(t.Context(), sse.AppendRequest{Entries: entries}); err != nil {
		t.Error(err)
	}
	if entries[0].Event != event {
		t.Errorf("Append has changed its argument to %+v", entries[0].Event)
	}
	page, err := broker.Read(t.Context(), sse.Selection{Topics: []string{"news"}}, sse.Start{Earliest: true}, 1<<20)
	if err != nil || len(page.Entries) != 2 {
		t.Fatal(page, err)
	}
	for _, e := range page.Entries {
		if want := (sse.Event{Data: "x"}); e.Event != want {
			t.Errorf("got the event %+v, want %+v", e.Event, want)
		}
	}
	start := sse.Start{Earliest: true}
	for got := range broker.Subscribe(t.Context(), sse.Selection{Topics: []string{"news"}}, start) {
		id := page.Entries[0].Position.String()
		if want := (sse.Event{ID: id, LastEventID: id, Data: "x"}); got != want {
			t.Errorf("Subscribe: got %+v, want %+v", got, want)
		}
		break
	}
}

// Publish refuses an ID that begins with "~" but is not a position. It also refuses an
// event that has both an ID and ClearID.
func TestPublishRefusesID(t *testing.T) {
	id := sse.Position{Epoch: 7, Seq: 42, Check: 1}.String()
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		for _, event := range []sse.Event{
			{ID: "~"}, {ID: "~1"}, {ID: id + "x"}, {ID: id, ClearID: true}, {ID: "1", ClearID: true},
		} {
			_, err := b.Publish(t.Context(), event)
			var field *sse.FieldError
			if !errors.As(err, &field) || field.Field != "id" || field.Value != event.ID {
				t.Errorf("%+v: got the error %v, want a FieldError for its ID", event, err)
			}
		}
	})
}

// A program can publish the events of one broker on another broker. There, the ID of
// each event is a position of the second broker, unless the application has set the ID.
func TestRelay(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		l := f.Listen("?topic=a")
		for _, event := range []sse.Event{
			{Data: "1"}, {ID: "mine", Type: "x", Data: "2"}, {Data: "3", Retry: time.Second},
		} {
			if _, err := f.Broker.Publish(t.Context(), event, "a"); err != nil {
				t.Fatal(err)
			}
		}
		l.Want(t, "1", "2", "3")
		var second sse.Broker
		var want []sse.Event
		for _, event := range l.Events() {
			at, err := second.Publish(t.Context(), event, "b")
			if err != nil {
				t.Fatal(err)
			}
			if event.ID != "mine" {
				event.ID, event.LastEventID = at.String(), at.String()
			}
			want = append(want, event)
		}
		var got []sse.Event
		sel := sse.Selection{Topics: []string{"b"}}
		for event := range second.Subscribe(t.Context(), sel, sse.Start{Earliest: true}) {
			if got = append(got, event); len(got) == 3 {
				break
			}
		}
		if !slices.Equal(got, want) || got[0].ID == l.Events()[0].ID {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// The memory of removed events is released even if the broker still stores an older
// event on another topic.
func TestRetentionBehindAnOldEvent(t *testing.T) {
	var broker sse.Broker
	broker.TopicRetention = []sse.TopicRetention{{Pattern: mustPattern(t, "hot"), Events: 10}}
	if _, err := broker.Publish(t.Context(), sse.Event{Data: "old"}, "config"); err != nil {
		t.Fatal(err)
	}
	data := strings.Repeat("x", 1000)
	before := heap.InUse()
	for range 30_000 {
		if _, err := broker.Publish(t.Context(), sse.Event{Data: data}, "hot"); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap.InUse()) - int64(before); grown > 5<<20 {
		t.Errorf("the broker stores 10 events of 1 KB, but the heap has grown by %d KB", grown>>10)
	}
	runtime.KeepAlive(&broker)
}

// Events that a filter leaves out do not postpone heartbeats.
func TestHeartbeatBetweenFilteredEvents(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Filter: func(*sse.Entry) bool { return false }}, nil
		}
		f.Broker.Cursor = sse.CursorOff
		f.Serve()
		resp := get(t, f.Server)
		read(t, resp.Body, ":\n")
		start := time.Now()
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
				_, _ = f.Broker.Publish(t.Context(), sse.Event{Data: "x"})
			}
		}()
		time.AfterFunc(time.Minute, func() { resp.Body.Close() })
		line := make([]byte, 2)
		if _, err := io.ReadFull(resp.Body, line); err != nil {
			t.Errorf("no heartbeat within %v: %v", time.Since(start), err)
		} else if got := time.Since(start); got > 16*time.Second {
			t.Errorf("the heartbeat came after %v", got)
		}
		close(stop)
		<-done
	})
}

// inWaits runs a test of a broker in fake time for each way in which a stream can wait:
// held, in the goroutine of its handler, with HTTP/1.1 and with HTTP/2; and parked,
// without a goroutine.
func inWaits(t *testing.T, test func(t *testing.T, f *brokertest.Fixture)) {
	t.Helper()
	waits := append(brokertest.Held(), brokertest.Parked(sse.ParkInMemory))
	brokertest.InWaits(t, waits, test)
}
