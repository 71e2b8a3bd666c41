package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
)

// A subscriber whose OnConnect panics is removed.
func TestPanicInOnConnect(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.MaxSubscribers = 1
		f.Broker.OnConnect = func(sse.Subscriber) { panic(http.ErrAbortHandler) }
		f.Serve()
		l := f.Listen("")
		time.Sleep(time.Minute) // the client reconnects
		l.Stop()
		func() {
			defer func() { _ = recover() }()
			for range f.Broker.Subscribe(t.Context(), sse.Selection{}, sse.Start{}) {
			}
		}()
		synctest.Wait()
		if got := f.Broker.Subscribers(); len(got) != 0 {
			t.Errorf("got subscribers %+v, want none", got)
		}
	})
}

// A filter or a hook that panics ends only its own stream.
func TestPanicEndsOneStream(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.MaxSubscribers = 2
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			var sel sse.Selection
			if r.URL.Query().Has("bad") {
				sel.Filter = func(*sse.Entry) bool { panic(http.ErrAbortHandler) }
			}
			return sel, nil
		}
		f.Broker.OnDisconnect = func(sse.Subscriber, error) { panic(http.ErrAbortHandler) }
		f.Serve()
		good := f.Listen("")
		bad := f.Listen("?bad=1")
		f.Publish("1")
		synctest.Wait()
		bad.Stop()
		f.Listen("") // within the limit of two, because the bad stream has ended
		f.Publish("2")
		good.Want(t, "1", "2")
		if got := len(f.Broker.Subscribers()); got != 2 {
			t.Errorf("got %d subscribers, want 2", got)
		}
	})
}

func TestBrokerKickAndHooks(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		var mu sync.Mutex
		var log []string
		f.Broker.OnConnect = func(s sse.Subscriber) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprint("connect ", s.ID))
		}
		f.Broker.OnDisconnect = func(s sse.Subscriber, err error) {
			mu.Lock()
			defer mu.Unlock()
			reason := "?"
			for _, sentinel := range []error{sse.ErrKicked, sse.ErrPeerGone, sse.ErrShutdown} {
				if errors.Is(err, sentinel) {
					reason = sentinel.Error()
				}
			}
			log = append(log, fmt.Sprint("disconnect ", s.ID, " ", reason))
		}
		f.Serve()
		l := f.Listen("?topic=a")
		list := f.Broker.Subscribers()
		if len(list) == 1 && f.Broker.Park && list[0].Wait != "parked" {
			t.Errorf("the stream is held: %s", list[0].Why)
		}
		if len(list) != 1 || list[0].ID != 1 || !slices.Equal(list[0].Topics, []string{"a"}) {
			t.Fatalf("got subscribers %+v", list)
		}
		if n := f.Broker.Kick(func(s sse.Subscriber) bool { return s.ID == 77 }); n != 0 {
			t.Errorf("Kick has ended %d streams, want none", n)
		}
		if n := f.Broker.Kick(func(s sse.Subscriber) bool { return s.ID == 1 }); n != 1 {
			t.Errorf("Kick has ended %d streams, want 1", n)
		}
		time.Sleep(2 * time.Second)
		l.Stop()
		synctest.Wait()
		f.Listen("")
		if err := f.Broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		want := []string{"connect 1", "disconnect 1 sse: subscriber kicked",
			"connect 2", "disconnect 2 sse: peer gone",
			"connect 3", "disconnect 3 sse: server shutting down"}
		if !slices.Equal(log, want) {
			t.Errorf("got %q, want %q", log, want)
		}
	})
}

// Kick ends every stream that match accepts, and no other: the streams of a user,
// or the streams of a topic. match may call the broker.
func TestKickByPredicate(t *testing.T) {
	inTopic := func(s sse.Subscriber) bool {
		return (&sse.Selection{Topics: s.Topics, Patterns: s.Patterns}).Match([]string{"a/1"})
	}
	for _, test := range []struct {
		name  string
		match func(b *sse.Broker) func(sse.Subscriber) bool
		want  []string // the keys of the streams that end
	}{
		{"key", func(*sse.Broker) func(sse.Subscriber) bool {
			return func(s sse.Subscriber) bool { return s.Key == "ann" }
		}, []string{"ann", "ann"}},
		{"topic", func(*sse.Broker) func(sse.Subscriber) bool { return inTopic },
			[]string{"ann", "bob", "eve"}},
		{"all", func(*sse.Broker) func(sse.Subscriber) bool {
			return func(sse.Subscriber) bool { return true }
		}, []string{"ann", "ann", "bob", "bob", "eve"}},
		{"calls the broker", func(b *sse.Broker) func(sse.Subscriber) bool {
			return func(s sse.Subscriber) bool {
				_, err := b.Publish(context.Background(), sse.Event{Data: "from match"}, "other")
				none := b.Kick(func(sse.Subscriber) bool { return false })
				return err == nil && len(b.Subscribers()) > 0 && none == 0 && s.Key == "bob"
			}
		}, []string{"bob", "bob"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				testKick(t, f, test.match(&f.Broker), test.want)
			})
		})
	}
}

func testKick(t *testing.T, f *brokertest.Fixture, match func(sse.Subscriber) bool, want []string) {
	t.Helper()
	var mu sync.Mutex // guards kicked
	var kicked []string
	f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
		sel := sse.Selection{Topics: r.URL.Query()["topic"], Key: r.URL.Query().Get("key")}
		if r.URL.Query().Has("pattern") {
			sel.Patterns = []sse.Pattern{mustPattern(t, r.URL.Query().Get("pattern"))}
		}
		return sel, nil
	}
	f.Broker.OnDisconnect = func(s sse.Subscriber, err error) {
		if errors.Is(err, sse.ErrKicked) {
			mu.Lock()
			defer mu.Unlock()
			kicked = append(kicked, s.Key)
		}
	}
	f.Serve()
	once := func(c *sse.Client) { c.MaxRetries = -1 }
	var clients []*brokertest.Client
	for _, query := range []string{
		"?key=ann&topic=a/1", "?key=ann&topic=b", "?key=bob&topic=b&topic=a/1", "?key=bob&topic=b",
		"?key=eve&pattern=a/*",
	} {
		clients = append(clients, f.Listen(query, once))
	}
	if n := f.Broker.Kick(match); n != len(want) {
		t.Errorf("Kick has ended %d streams, want %d", n, len(want))
	}
	synctest.Wait()
	mu.Lock()
	slices.Sort(kicked)
	if !slices.Equal(kicked, want) {
		t.Errorf("the streams of %q have ended, want %q", kicked, want)
	}
	mu.Unlock()
	if n := f.Broker.Kick(match); n != 0 {
		t.Errorf("the second Kick has ended %d streams, want none", n)
	}
	f.Publish("live", "a/1", "b")
	live := 0
	for _, c := range clients {
		live += len(c.Data())
	}
	if live != len(clients)-len(want) {
		t.Errorf("%d streams are live, want %d", live, len(clients)-len(want))
	}
}

// If a user's access is revoked after Select has accepted the user's stream, OnConnect
// can kick the stream. Kick also ends subscriptions by Broker.Subscribe.
func TestKickInOnConnect(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		kickUser := func() int {
			return f.Broker.Kick(func(s sse.Subscriber) bool { return s.Key == "ann" })
		}
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			if n := kickUser(); n != 0 { // the access is revoked while Select decides
				t.Errorf("Kick has ended %d streams that have not begun", n)
			}
			return sse.Selection{Key: "ann"}, nil
		}
		f.Broker.OnConnect = func(s sse.Subscriber) {
			if n := kickUser(); n != 1 {
				t.Errorf("Kick has ended %d streams in OnConnect, want 1", n)
			}
		}
		ends := brokertest.RecordEnds(&f.Broker)
		f.Serve()
		f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
		ends.Want(t, sse.ErrKicked, 1)
		for _, err := range f.Broker.Subscribe(t.Context(), sse.Selection{Key: "ann"}, sse.Start{}) {
			if !errors.Is(err, sse.ErrKicked) {
				t.Errorf("Subscribe ended with %v, want ErrKicked", err)
			}
		}
		ends.Want(t, sse.ErrKicked, 2)
	})
}

// Shutdown waits for OnDisconnect, but not after the context of Shutdown is done.
func TestShutdownWaitsForHooks(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		const each = time.Minute
		ended, hold := 0, make(chan struct{})
		f.Broker.OnDisconnect = func(sse.Subscriber, error) {
			<-hold
			ended++
		}
		f.Serve()
		f.Listen("")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), each)
		defer cancel()
		start := time.Now()
		err := f.Broker.Shutdown(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < each || took > each+time.Second {
			t.Errorf("Shutdown returned %v after %v, want DeadlineExceeded after a minute", err, took)
		}
		time.AfterFunc(each, func() { close(hold) })
		if err := f.Broker.Shutdown(t.Context()); err != nil || ended != 1 {
			t.Errorf("Shutdown returned %v after %d hooks, want nil after one", err, ended)
		}
	})
}

// unfollowedLog is a log that stores events, but whose Follow yields none of them. So
// no event becomes visible to the broker.
type unfollowedLog struct{ *brokertest.FakeLog }

func (unfollowedLog) Follow(ctx context.Context, _ sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(func(sse.Entry, error) bool) { <-ctx.Done() }
}

// Publish blocks until Follow has yielded the event. A hook that publishes during
// Shutdown is blocked only until all streams have ended, because no subscriber will
// receive the event.
func TestShutdownWhileHookPublishes(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Log = unfollowedLog{brokertest.NewFakeLog()}
		f.Broker.OnDisconnect = func(sse.Subscriber, error) {
			_, _ = f.Broker.Publish(context.Background(), sse.Event{Data: "left"})
		}
		f.Broker.DrainOver = time.Second
		f.Serve()
		f.Listen("")
		f.Listen("")
		synctest.Wait()
		start := time.Now()
		err := f.Broker.Shutdown(t.Context())
		if took := time.Since(start); err != nil || took != time.Second {
			t.Errorf("Shutdown returned %v after %v, want nil after a second", err, took)
		}
	})
}

// rawStream collects the body of a stream, as bytes.
type rawStream struct {
	mu         sync.Mutex // guards the following
	body       []byte
	heartbeats []time.Time // times at which the stream received only an empty comment
}

// listenRaw requests a stream and collects its bytes, up to its end. If begin is not
// nil, the client reads nothing until begin is closed.
func listenRaw(t *testing.T, f *brokertest.Fixture, query string, begin <-chan struct{}) *rawStream {
	t.Helper()
	resp, err := f.Server.Client().Get(f.Server.URL() + "/" + query)
	if err != nil {
		t.Fatal(err)
	}
	s, done := &rawStream{}, make(chan struct{})
	go func() {
		defer close(done)
		if begin != nil {
			<-begin
		}
		_, _ = io.Copy(s, resp.Body)
	}()
	t.Cleanup(func() {
		resp.Body.Close()
		<-done
	})
	synctest.Wait()
	return s
}

func (s *rawStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = append(s.body, p...)
	if string(p) == ":\n" {
		s.heartbeats = append(s.heartbeats, time.Now())
	}
	return len(p), nil
}

// take waits until all other goroutines of the bubble are blocked, and returns the
// bytes since the last call. (A bubble is a test with a fake clock: see
// testing/synctest.)
func (s *rawStream) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	body := string(s.body)
	s.body = nil
	return body
}

// takeHeartbeats is like take, but returns the times at which the stream received a
// heartbeat, from start.
func (s *rawStream) takeHeartbeats(start time.Time) []time.Duration {
	s.take()
	s.mu.Lock()
	defer s.mu.Unlock()
	var times []time.Duration
	for _, at := range s.heartbeats {
		times = append(times, at.Sub(start))
	}
	s.heartbeats = nil
	return times
}

// Every stream that is connected receives a comment once, after the events that
// were published before the comment.
func TestBrokerComment(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			sel := sse.Selection{Topics: r.URL.Query()["topic"]}
			if r.URL.Query().Has("filter") {
				sel.Filter = func(*sse.Entry) bool { return false }
			}
			return sel, nil
		}
		if err := f.Broker.Comment("before the first stream"); err != nil {
			t.Error(err)
		}
		f.Serve()
		var streams []*rawStream
		for range 150 { // more than the broker wakes while it holds its lock once
			streams = append(streams, listenRaw(t, f, "?topic=a", nil))
		}
		other, filtered := listenRaw(t, f, "?topic=b", nil), listenRaw(t, f, "?filter=1&topic=a", nil)
		for _, s := range append(streams, other, filtered) {
			if got := s.take(); strings.Contains(got, "before the first") {
				t.Fatalf("a stream begins with %q, want it without an older comment", got)
			}
		}
		first := f.Publish("1", "a")
		if err := f.Broker.Comment("two\nlines"); err != nil {
			t.Error(err)
		}
		late := listenRaw(t, f, "?topic=a", nil)
		second := f.Publish("2", "a")
		const comment = ": two\n: lines\n"
		event := func(p sse.Position, data string) string {
			return "id: " + p.String() + "\ndata: " + data + "\n\n"
		}
		for i, s := range streams {
			if got, want := s.take(), event(first, "1")+comment+event(second, "2"); got != want {
				t.Fatalf("stream %d got %q, want %q", i, got, want)
			}
		}
		for _, s := range []*rawStream{other, filtered} {
			if got := s.take(); got != comment {
				t.Errorf("a stream that selects no event got %q, want %q", got, comment)
			}
		}
		if got := late.take(); strings.Contains(got, comment) || !strings.HasSuffix(got, event(second, "2")) {
			t.Errorf("a later stream got %q, want only event 2", got)
		}
		if err := f.Broker.Comment(""); err != nil {
			t.Error(err)
		}
		for _, s := range append(streams, other, filtered, late) {
			if got := s.take(); got != ": \n" {
				t.Fatalf("a stream got %q, want an empty comment", got)
			}
		}
	})
}

// A comment does not postpone the next heartbeat. Here a cursor replaces the heartbeat
// after 15 seconds, because the position has changed.
func TestCommentPostponesNoCursor(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		s := listenRaw(t, f, "?topic=a", nil)
		s.take()
		p := f.Publish("x", "foreign")
		for i, want := range []string{":  9s\n", "id: " + p.String() + "\nevent: sse.cursor\ndata: \n\n:  18s\n"} {
			time.Sleep(9 * time.Second)
			if err := f.Broker.Comment(fmt.Sprintf(" %ds", 9*(i+1))); err != nil {
				t.Error(err)
			}
			if got := s.take(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// The broker stores only the last 16 comments. A client that reads again after a while
// receives only these, between the events that were published before and after them.
func TestCommentToSlowStream(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Options.BufferSize = 4 << 10
		f.Serve()
		begin := make(chan struct{})
		s := listenRaw(t, f, "", begin)
		p := f.Publish(strings.Repeat("x", 8<<20)) // more than an HTTP/2 client reads ahead
		synctest.Wait()
		pad := strings.Repeat("y", 10<<10)
		large := strings.Repeat("z", 70<<10) // more than the broker writes to a stream at once
		var want strings.Builder
		fmt.Fprintf(&want, "\n\nid: %v\ndata: %s\n\n", f.Publish(large), large)
		for i := range 20 {
			if err := f.Broker.Comment(fmt.Sprint(i, " ", pad)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if i >= 5 { // the last 15 of these; the comment "end" below is the 16th
				fmt.Fprintf(&want, ": %d %s\n", i, pad)
			}
		}
		fmt.Fprintf(&want, "id: %v\ndata: %s\n\n", f.Publish(large), large)
		fmt.Fprintf(&want, "id: %v\ndata: small\n\n: end\n", f.Publish("small"))
		if err := f.Broker.Comment("end"); err != nil {
			t.Error(err)
		}
		close(begin)
		got := s.take()
		_, got, found := strings.Cut(got, "id: "+p.String()+"\ndata: ")
		got = strings.TrimLeft(got, "x")
		if short := strings.NewReplacer(pad, "y", large, "z"); !found || got != want.String() {
			t.Errorf("after the first event, the stream has %q, want %q",
				short.Replace(got), short.Replace(want.String()))
		}
		if err := f.Broker.Comment("live"); err != nil {
			t.Error(err)
		}
		if got := s.take(); got != ": live\n" {
			t.Errorf("got %q, want the comment live", got)
		}
	})
}
