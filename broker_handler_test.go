package sse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
)

// PublishJSON publishes the JSON encoding of a value. It publishes nothing if it
// returns an error.
func TestPublishJSON(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		l := f.Listen("?topic=a")
		value := map[string]int{"n": 1}
		p, err := f.Broker.PublishJSON(t.Context(), sse.Event{Type: "count"}, value, "a", "b")
		l.Want(t, `{"n":1}`)
		if got := l.Events()[0]; err != nil || got.ID != p.String() || got.Type != "count" {
			t.Errorf("got %+v, %v, want the type count and the ID %v", got, err, p)
		}
		_, err = f.Broker.PublishJSON(t.Context(), sse.Event{Data: "x"}, value, "a")
		if want := "sse: PublishJSON: Event.Data must be empty"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		var unsupported *json.UnsupportedTypeError
		_, err = f.Broker.PublishJSON(t.Context(), sse.Event{}, make(chan int), "a")
		if !errors.As(err, &unsupported) {
			t.Errorf("got %v, want the error of encoding/json", err)
		}
		l.Want(t, `{"n":1}`)
	})
}

// Handler serves fixed topics. It does not call Select, and no query selects other
// topics. The limits of the broker, and the start that the query asks for, apply.
func TestBrokerHandler(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.MaxSubscribers = 2
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			t.Error("Handler has called Select")
			return sse.Selection{}, nil
		}
		topics := []string{"a", "b"}
		mux := http.NewServeMux()
		mux.Handle("/fixed", f.Broker.Handler(topics...))
		mux.Handle("/", f.Broker.Handler())
		topics[0] = "changed later"
		f.ServeAround(mux)
		f.Publish("1", "a")
		f.Publish("2", "c")
		f.Publish("3", "b")
		f.Publish("4")
		fixed := f.Listen("fixed?topic=c&since=earliest&withTopic=1")
		fixed.Want(t, "1", "3")
		if e := fixed.Events()[1]; e.Topic != "b" {
			t.Errorf("got the topic %q, want b", e.Topic)
		}
		f.Listen("?topic=c&since=earliest").Want(t, "4")
		if resp := get(t, f.Server); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("above the limit, the status is %s, want 503", resp.Status)
		}
	})
}

// If a topic is invalid, the handler refuses every request, and only the log has the
// reason. If the query of a request is malformed, the handler refuses that request.
func TestBrokerHandlerRefuses(t *testing.T) {
	var log bytes.Buffer
	broker := sse.Broker{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, test := range []struct {
		topic, query string
		status       int
		log          string
	}{
		{"a\nb", "", http.StatusInternalServerError, `contains a control character`},
		{"a", "?withTopic=%zz", http.StatusBadRequest, ""},
	} {
		log.Reset()
		w := httptest.NewRecorder()
		broker.Handler(test.topic).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+test.query, nil))
		if w.Code != test.status || strings.Contains(w.Body.String(), "control") ||
			!strings.Contains(log.String(), test.log) || (test.log == "") != (log.Len() == 0) {
			t.Errorf("%q: got %d, %q, and the log %q", test.topic, w.Code, w.Body, log.String())
		}
	}
}

// The error of Select is logged, and the client receives no part of it.
func TestBrokerLogger(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		var log bytes.Buffer
		f.Broker.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{}, errors.New("password is wrong")
		}
		f.Serve()
		resp := get(t, f.Server)
		body, err := io.ReadAll(resp.Body)
		want := "sse: the subscription could not be checked\n"
		if err != nil || resp.StatusCode != http.StatusInternalServerError || string(body) != want {
			t.Errorf("got %s, %q, %v, want 500 and %q", resp.Status, body, err, want)
		}
		if n := strings.Count(log.String(), "password is wrong"); n != 1 {
			t.Errorf("the log has the error %d times, want once: %s", n, log.String())
		}
	})
}

// Validate names every invalid field. It accepts a negative value if the field's
// documentation defines its meaning.
func TestBrokerValidate(t *testing.T) {
	all := mustPattern(t, "**")
	for _, test := range []struct {
		set  func(b *sse.Broker)
		want string
	}{
		{func(*sse.Broker) {}, ""},
		{func(b *sse.Broker) {
			b.Retention = sse.Retention{Events: -1, Bytes: -1, Age: 1}
			b.TopicRetention = []sse.TopicRetention{{Pattern: all}}
			b.Streams = sse.StreamOptions{Heartbeat: -1, HeartbeatEvent: "ping", WriteTimeout: -1}
			b.Cursor = sse.CursorEvent
		}, ""},
		{func(b *sse.Broker) { b.Retention.Age = -1 }, "Broker.Retention.Age must not be negative: -1ns"},
		{func(b *sse.Broker) { b.TopicRetention = []sse.TopicRetention{{Events: 1}} },
			"Broker.TopicRetention[0].Pattern must be set: the zero Pattern matches no topic"},
		{func(b *sse.Broker) { b.TopicRetention = []sse.TopicRetention{{Pattern: all, Events: -1}} },
			"Broker.TopicRetention[0].Events must not be negative: -1"},
		{func(b *sse.Broker) { b.TopicRetention = []sse.TopicRetention{{Pattern: all, Bytes: -1}} },
			"Broker.TopicRetention[0].Bytes must not be negative: -1"},
		{func(b *sse.Broker) {
			b.TopicRetention = []sse.TopicRetention{{Pattern: all}, {Pattern: all, Age: -1}}
		}, "Broker.TopicRetention[1].Age must not be negative: -1ns"},
		{func(b *sse.Broker) { b.Streams.Retry = -1 }, "Broker.Streams.Retry must not be negative: -1ns"},
		{func(b *sse.Broker) { b.Streams.HeartbeatEvent = ":\n" },
			`Broker.Streams.HeartbeatEvent: sse: event ":\n" contains LF`},
		{func(b *sse.Broker) { b.Streams.HeartbeatEvent = "sse.ping" },
			`Broker.Streams.HeartbeatEvent "sse.ping" must not begin with "sse.": ` +
				`this package uses such types`},
		{func(b *sse.Broker) { b.Streams.HeartbeatEvent, b.Streams.HeartbeatBlock = "ping", true },
			"Broker.Streams.HeartbeatEvent and HeartbeatBlock must not both be set"},
		{func(b *sse.Broker) { b.Streams.Final = &sse.Event{ID: "a\x00"} },
			`Broker.Streams.Final must be a valid event: sse: id "a\x00" contains NUL`},
		{func(b *sse.Broker) { b.Cursor = "bloc" },
			`Broker.Cursor must be empty, CursorEvent, CursorBlock, CursorComment or CursorOff: "bloc"`},
		{func(b *sse.Broker) { b.MaxSubscribers = -1 }, "Broker.MaxSubscribers must not be negative: -1"},
		{func(b *sse.Broker) { b.MaxPerRemote = -1 }, "Broker.MaxPerRemote must not be negative: -1"},
		{func(b *sse.Broker) { b.MaxPerKey = -1 }, "Broker.MaxPerKey must not be negative: -1"},
		{func(b *sse.Broker) { b.MaxAge = -1 }, "Broker.MaxAge must not be negative: -1ns"},
		{func(b *sse.Broker) { b.DrainOver = -1 }, "Broker.DrainOver must not be negative: -1ns"},
		{func(b *sse.Broker) { b.MaxAge, b.MaxPerKey = -time.Second, -2 },
			"Broker.MaxPerKey must not be negative: -2; Broker.MaxAge must not be negative: -1s"},
	} {
		var broker sse.Broker
		test.set(&broker)
		got, want := "", test.want
		if err := broker.Validate(); err != nil {
			got, want = err.Error(), "sse: "+want
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	broker := sse.Broker{Streams: sse.StreamOptions{HeartbeatEvent: "a\rb"}}
	var invalid *sse.FieldError
	if err := broker.Validate(); !errors.As(err, &invalid) || invalid.Value != "a\rb" {
		t.Errorf("got %v, want it to wrap a FieldError", err)
	}
}

// If a field is invalid, every use of the broker fails with the error of Validate.
// The error is logged once.
func TestBrokerInvalid(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		var log bytes.Buffer
		f.Broker.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.Broker.MaxAge, f.Broker.MaxPerRemote = -time.Second, -3
		f.Serve()
		b, ctx := &f.Broker, t.Context()
		const want = "sse: Broker.MaxPerRemote must not be negative: -3; " +
			"Broker.MaxAge must not be negative: -1s"
		for name, use := range map[string]func() error{
			"Validate": b.Validate,
			"Publish":  func() error { _, err := b.Publish(ctx, sse.Event{Data: "x"}); return err },
			"Append": func() error {
				_, err := b.Append(ctx, sse.AppendRequest{Entries: make([]sse.Entry, 1)})
				return err
			},
			"Position": func() error { _, err := b.Position(ctx); return err },
			"Read": func() error {
				_, err := b.Read(ctx, sse.Selection{}, sse.Start{}, 1)
				return err
			},
			"Forget": func() error { return b.Forget(ctx, "a", sse.Position{}) },
			"Subscribe": func() (err error) {
				for _, err = range b.Subscribe(ctx, sse.Selection{}, sse.Start{}) {
				}
				return err
			},
		} {
			if err := use(); err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
		for range 2 {
			resp := get(t, f.Server)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusInternalServerError || string(body) != want+"\n" {
				t.Errorf("got %s, %q, %v, want 500 and %q", resp.Status, body, err, want)
			}
		}
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("the log has the error %d times, want once: %s", n, log.String())
		}
	})
}

// CursorEvent and LossRetained, which are the defaults, can also be set by name.
func TestDefaultsByName(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Retention.Events = 1
		f.Broker.Cursor = sse.CursorEvent
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Loss: sse.LossRetained}, nil
		}
		f.Serve()
		from := f.Publish("1")
		f.Publish("2")
		p := f.Publish("3")
		f.Listen("?lastEventId="+from.String()).Want(t, "gap: trimmed", "3")
		read(t, get(t, f.Server).Body, "id: "+p.String()+"\nevent: sse.cursor\ndata: \n\n")
	})
}

// Comment refuses a text of more than 16 KiB, and returns ErrShutdown after Shutdown.
// A subscription by Broker.Subscribe receives no comment, and continues.
func TestCommentRefused(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Serve()
		s := listenRaw(t, f, "", nil)
		s.take()
		events := make(chan sse.Event, 10)
		go func() {
			for e, err := range f.Broker.Subscribe(t.Context(), sse.Selection{}, sse.Start{}) {
				if err == nil {
					events <- e
				}
			}
		}()
		synctest.Wait()
		long := strings.Repeat("x", 16<<10)
		if err := f.Broker.Comment(long); err != nil {
			t.Errorf("16 KiB: %v", err)
		}
		const want = "sse: a comment of a broker must have at most 16384 bytes, not 16385"
		if err := f.Broker.Comment(long + "x"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if got := s.take(); got != ": "+long+"\n" {
			t.Errorf("the stream has %d bytes, want one comment of 16 KiB", len(got))
		}
		f.Publish("1")
		if e := <-events; e.Data != "1" {
			t.Errorf("Subscribe got %+v, want event 1", e)
		}
		if err := f.Broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := f.Broker.Comment("late"); err != sse.ErrShutdown {
			t.Errorf("got %v, want ErrShutdown", err)
		}
	})
	broker := sse.Broker{MaxAge: -1}
	if err := broker.Comment("x"); err == nil || err.Error() != broker.Validate().Error() {
		t.Errorf("got %v, want the error of Validate", err)
	}
}

// The broker refuses a stream above a limit. MaxPerKey counts the streams of each key
// separately, and MaxPerRemote the streams of each IP address. No limit counts a
// refused stream, or a stream that has ended.
func TestStreamLimits(t *testing.T) {
	for _, test := range []struct {
		name    string
		set     func(*sse.Broker)
		fill    []string // queries of streams within the limit; the first of them ends later
		refused string   // query of a stream above the limit
		text    string
		others  []string // queries of streams that the limit does not concern
	}{
		{"total", func(b *sse.Broker) { b.MaxSubscribers = 2 },
			[]string{"key=a&remote=10.0.0.1:1", "key=b&remote=10.0.0.2:1"}, "key=c&remote=10.0.0.3:1",
			"sse: there are 2 subscribers already, which is the limit", nil},
		{"address", func(b *sse.Broker) { b.MaxPerRemote = 2 },
			[]string{"remote=10.0.0.1:1", "remote=10.0.0.1:2"}, "remote=10.0.0.1:3",
			"sse: there are 2 subscribers from 10.0.0.1 already, which is the limit",
			[]string{"remote=10.0.0.2:1", "remote=[::1]:1"}},
		{"total of one", func(b *sse.Broker) { b.MaxSubscribers = 1 }, []string{""}, "",
			"sse: there are 1 subscribers already, which is the limit", nil},
		{"one address in two forms", func(b *sse.Broker) { b.MaxPerRemote = 1 },
			[]string{"remote=10.0.0.1:1"}, "remote=[::ffff:10.0.0.1]:2",
			"sse: there are 1 subscribers from 10.0.0.1 already, which is the limit",
			[]string{"remote=[::ffff:10.0.0.2]:2"}},
		{"no IP address", func(b *sse.Broker) { b.MaxPerRemote = 1 }, []string{"remote=pipe"}, "remote=pipe",
			"sse: there are 1 subscribers from pipe already, which is the limit",
			[]string{"remote=other", "remote=host:1"}},
		{"key", func(b *sse.Broker) { b.MaxPerKey = 2 },
			[]string{"key=a&remote=10.0.0.1:1", "key=a&remote=10.0.0.2:1"}, "key=a&remote=10.0.0.3:1",
			"sse: there are 2 subscribers with this key already, which is the limit",
			[]string{"key=b", "", "", ""}},
		{"key and address", func(b *sse.Broker) { b.MaxPerKey, b.MaxPerRemote = 1, 4 },
			[]string{"key=a&remote=10.0.0.1:1"}, "key=a&remote=10.0.0.1:2",
			"sse: there are 1 subscribers with this key already, which is the limit",
			[]string{"key=b&remote=10.0.0.1:3", "key=c&remote=10.0.0.1:4"}},
		{"key and total", func(b *sse.Broker) { b.MaxPerKey, b.MaxSubscribers = 1, 4 },
			[]string{"key=a"}, "key=a",
			"sse: there are 1 subscribers with this key already, which is the limit",
			[]string{"key=b", "key=c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				test.set(&f.Broker)
				f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
					return sse.Selection{Key: r.URL.Query().Get("key")}, nil
				}
				serveRemotes(f)
				open := func(query string) *http.Response { return open(t, f, query) }
				var first *http.Response
				for i, query := range test.fill {
					if resp := open(query); resp.StatusCode != http.StatusOK {
						t.Fatalf("stream %d: %s, want 200", i, resp.Status)
					} else if i == 0 {
						first = resp
					}
				}
				refuse := func(when string) {
					t.Helper()
					for range 4 { // a refused stream is not counted
						resp := open(test.refused)
						if resp.StatusCode == http.StatusOK {
							t.Fatalf("%s: %s, want 503", when, resp.Status)
						}
						body, _ := io.ReadAll(resp.Body)
						text := strings.TrimSpace(string(body))
						if resp.StatusCode != http.StatusServiceUnavailable || text != test.text ||
							resp.Header.Get("Retry-After") == "" {
							t.Errorf("%s: got %s, %q, Retry-After %q, want 503 and %q", when, resp.Status,
								text, resp.Header.Get("Retry-After"), test.text)
						}
					}
				}
				refuse("at the limit")
				for i, query := range test.others {
					if resp := open(query); resp.StatusCode != http.StatusOK {
						t.Errorf("other stream %d: %s, want 200", i, resp.Status)
					}
				}
				_ = first.Body.Close()
				f.Publish("x") // a write lets the broker notice that the client has disconnected
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if resp := open(test.refused); resp.StatusCode != http.StatusOK {
					t.Errorf("after a stream has ended: %s, want 200", resp.Status)
				}
				refuse("at the limit again")
			})
		})
	}
}

// serveRemotes starts the server. The query parameter remote of a request, if it is
// set, replaces the network address of the peer.
func serveRemotes(f *brokertest.Fixture) {
	f.ServeAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if remote := r.URL.Query().Get("remote"); remote != "" {
			r.RemoteAddr = remote
		}
		f.Broker.ServeHTTP(w, r)
	}))
}

// open sends a request with a query, and waits until the broker has handled it.
func open(t *testing.T, f *brokertest.Fixture, query string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Server.URL()+"/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.Server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	synctest.Wait()
	return resp
}

// A client follows a redirect that Select returns, here to another path of the same
// server.
func TestSelectRedirects(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			if r.URL.Path != "/moved" {
				return sse.Selection{}, &sse.ResponseError{StatusCode: http.StatusTemporaryRedirect,
					Header: http.Header{"Location": {"/moved?since=earliest"}}}
			}
			return sse.Selection{}, nil
		}
		f.Serve()
		f.Publish("1")
		f.Listen("").Want(t, "1")
	})
}
