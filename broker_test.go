package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// inWaits runs a test of a broker in fake time, in each way in which streams wait.
func inWaits(t *testing.T, test func(t *testing.T, f *brokerFixture)) {
	t.Helper()
	for _, mode := range []struct {
		name string
		opts ssetest.ServerOptions
		park bool
	}{
		{"held http1", ssetest.ServerOptions{}, false},
		{"held http2", ssetest.ServerOptions{HTTP2: true}, false},
		{"parked", ssetest.ServerOptions{}, true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Helper()
			synctest.Test(t, func(t *testing.T) {
				f := &brokerFixture{t: t, opts: mode.opts}
				if mode.park {
					sse.ParkInMemory(&f.broker)
				}
				test(t, f)
			})
		})
	}
}

// brokerFixture is a broker behind a server in fake time. The test sets the fields
// of broker before it calls serve.
type brokerFixture struct {
	t      *testing.T
	opts   ssetest.ServerOptions
	broker sse.Broker
	server *ssetest.Server
}

// serve starts the server. When the test ends, the broker is shut down.
func (f *brokerFixture) serve() {
	f.t.Helper()
	f.serveAround(&f.broker)
}

// serveAround is serve with a handler around the broker.
func (f *brokerFixture) serveAround(handler http.Handler) {
	f.t.Helper()
	f.server = ssetest.NewServer(f.t, handler, &f.opts)
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.broker.Shutdown(ctx); err != nil {
			f.t.Errorf("Shutdown: %v", err)
		}
	})
}

// publish publishes data on topics.
func (f *brokerFixture) publish(data string, topics ...string) sse.Position {
	f.t.Helper()
	p, err := f.broker.Publish(f.t.Context(), sse.Event{Data: data}, topics...)
	if err != nil {
		f.t.Fatalf("Publish: %v", err)
	}
	return p
}

// listener is a client that collects what it gets.
type listener struct {
	client *sse.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	events []sse.Event
	err    error
}

// listen subscribes with a query, and waits until the stream is open.
func (f *brokerFixture) listen(query string, adjust ...func(*sse.Client)) *listener {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	l := &listener{cancel: cancel, done: make(chan struct{})}
	l.client = &sse.Client{URL: f.server.URL() + "/" + query, HTTPClient: f.server.Client()}
	for _, a := range adjust {
		a(l.client)
	}
	go func() {
		defer close(l.done)
		for event, err := range l.client.Events(ctx) {
			l.mu.Lock()
			if err != nil {
				l.err = err
			} else {
				l.events = append(l.events, event)
			}
			l.mu.Unlock()
		}
	}()
	f.t.Cleanup(l.stop)
	synctest.Wait()
	return l
}

func (l *listener) stop() {
	l.cancel()
	<-l.done
}

// data is what has come, in order; a gap is "gap: " and why.
func (l *listener) data() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return dataAndGaps(l.events)
}

func dataAndGaps(events []sse.Event) []string {
	var data []string
	for _, e := range events {
		if e.Type == "sse.gap" {
			gap, err := sse.Decode[sse.Gap](e)
			if err != nil {
				panic(err)
			}
			data = append(data, "gap: "+gap.Why)
			continue
		}
		data = append(data, e.Data)
	}
	return data
}

func (l *listener) want(t *testing.T, want ...string) {
	t.Helper()
	if got := l.data(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q (error %v)", got, want, l.err)
	}
}

func TestBrokerMinimal(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.serve()
		f.publish("before")
		l := f.listen("")
		p := f.publish("hello")
		f.publish("elsewhere", "news")
		l.want(t, "hello")
		if got := l.events[0].ID; got != p.String() {
			t.Errorf("got id %q, want %q", got, p)
		}
	})
}

func TestBrokerTopics(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.serve()
		news := f.listen("?topic=news")
		both := f.listen("?topic=news&topic=sport&withTopic=1")
		f.publish("1", "news")
		f.publish("2", "sport")
		f.publish("3", "news", "sport", "news")
		f.publish("4", "other")
		f.publish("5")
		news.want(t, "1", "3")
		both.want(t, "1", "2", "3")
		var topics []string
		for _, e := range both.events {
			topics = append(topics, e.Topic)
		}
		if want := []string{"news", "sport", "news"}; !slices.Equal(topics, want) {
			t.Errorf("got topics %q, want %q", topics, want)
		}
	})
}

func TestBrokerResumes(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.serve()
		l := f.listen("?topic=a")
		f.publish("1", "a")
		l.want(t, "1")
		f.server.CutAll()
		f.publish("2", "a")
		f.publish("x", "b")
		f.publish("3", "a")
		time.Sleep(2 * time.Second)
		l.want(t, "1", "2", "3")
	})
}

func TestBrokerSince(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.TopicRetention = []sse.Retention{{Pattern: mustPattern(t, "short"), Events: 2}}
		f.serve()
		for i := range 5 {
			f.publish(fmt.Sprint(i), "short")
			f.publish(fmt.Sprint(i), "long")
			time.Sleep(time.Minute)
		}
		f.listen("?topic=long&since=earliest").want(t, "0", "1", "2", "3", "4")
		f.listen("?topic=short&since=earliest").want(t, "3", "4")
		f.listen("?topic=short&topic=long&since=earliest").want(t, "0", "1", "2", "3", "3", "4", "4")
		f.listen("?topic=long&since=-2").want(t, "3", "4")
		f.listen("?topic=short&since=-9").want(t, "3", "4")
		f.listen("?topic=long&since=latest").want(t)
		f.listen("?topic=long&since=2m30s").want(t, "3", "4")
		f.listen("?topic=short&since=2m30s").want(t, "3", "4")
		f.listen("?topic=short&since=3m30s").want(t, "gap: trimmed", "3", "4")
	})
}

func TestBrokerGap(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Retention.Events = 3
		f.serve()
		first := f.publish("1", "a")
		for _, data := range []string{"2", "3", "4", "5"} {
			f.publish(data, "a")
		}
		f.publish("b", "b")
		// 4, 5 and b are kept.
		id := func(id string) func(*sse.Client) {
			return func(c *sse.Client) { c.LastEventID = id }
		}
		f.listen("?topic=a", id(first.String())).want(t, "gap: trimmed", "4", "5")
		f.listen("?topic=b", id(first.String())).want(t, "b")
		f.listen("?topic=a", id("mine")).want(t, "gap: unknown", "4", "5")
		foreign := first
		foreign.Epoch++
		f.listen("?topic=a", id(foreign.String())).want(t, "gap: epoch", "4", "5")
		foreign = first
		foreign.Seq = 99
		f.listen("?topic=a", id(foreign.String())).want(t, "gap: future", "4", "5")
		foreign = first
		foreign.Seq = 5
		f.listen("?topic=a", id(foreign.String())).want(t, "gap: check", "4", "5")
	})
}

func TestBrokerHeartbeat(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.serve()
		resp := get(t, f.server)
		first := make([]byte, 1)
		if _, err := resp.Body.Read(first); err != nil {
			t.Fatal(err)
		}
		cursor := "id: ~0."
		read(t, resp.Body, cursor[1:])
		start := time.Now()
		read(t, resp.Body, fmt.Sprintf("%16.16s", "")[:0])
		skip := make([]byte, len("AAAAAAAAAAAAAAAA\nevent: sse.cursor\ndata: \n\n"))
		if _, err := readFull(resp, skip); err != nil {
			t.Fatal(err)
		}
		read(t, resp.Body, ":\n")
		if got := time.Since(start); got != 15*time.Second {
			t.Errorf("the heartbeat came after %v", got)
		}
		p := f.publish("x", "foreign")
		read(t, resp.Body, "id: "+p.String()+"\nevent: sse.cursor\ndata: \n\n")
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("the cursor came after %v", got)
		}
		read(t, resp.Body, ":\n")
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

func TestBrokerKickAndHooks(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		var mu sync.Mutex
		var log []string
		f.broker.OnConnect = func(s sse.Subscriber) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprint("connect ", s.ID))
		}
		f.broker.OnDisconnect = func(s sse.Subscriber, err error) {
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
		f.serve()
		l := f.listen("?topic=a")
		list := f.broker.Subscribers()
		if len(list) == 1 && f.broker.Park && list[0].Wait != "parked" {
			t.Errorf("it is held: %s", list[0].Why)
		}
		if len(list) != 1 || list[0].ID != 1 || !slices.Equal(list[0].Topics, []string{"a"}) {
			t.Fatalf("got subscribers %+v", list)
		}
		if !f.broker.Kick(1) || f.broker.Kick(77) {
			t.Error("Kick is wrong about who there is")
		}
		time.Sleep(2 * time.Second)
		l.stop()
		synctest.Wait()
		f.listen("")
		if err := f.broker.Shutdown(t.Context()); err != nil {
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
