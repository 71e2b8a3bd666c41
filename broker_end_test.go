package sse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/testrand"
)

// These tests check when and how a broker ends streams, and that a connection accepts
// the next request after its stream has ended.

// bubbleStart is the time at which every bubble begins. (A bubble is a test with a fake
// clock: see testing/synctest.)
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ending is a way in which a broker ends a stream.
type ending struct {
	name      string
	configure func(*sse.Broker)
	sel       sse.Selection
	end       func(*brokertest.Fixture) // makes the stream end, while the client reads nothing
	reason    error                     // OnDisconnect receives an error that begins with it
}

var endings = []ending{
	{name: "Kick", reason: sse.ErrKicked, end: func(f *brokertest.Fixture) {
		f.Broker.Kick(func(sse.Subscriber) bool { return true })
	}},
	{name: "MaxAge", reason: sse.ErrExpired, configure: func(b *sse.Broker) { b.MaxAge = time.Hour },
		end: func(*brokertest.Fixture) { time.Sleep(time.Hour) }},
	{name: "Expires", reason: sse.ErrExpired, sel: sse.Selection{Expires: bubbleStart.Add(time.Hour)},
		end: func(*brokertest.Fixture) { time.Sleep(time.Hour) }},
	{name: "lag", reason: sse.ErrLagging, sel: sse.Selection{MaxLag: 1}, end: func(f *brokertest.Fixture) {
		for range 10 {
			f.Publish(strings.Repeat("x", 1<<20))
		}
	}},
	{name: "loss", reason: sse.ErrLagging, sel: sse.Selection{Loss: sse.LossRefuse},
		configure: func(b *sse.Broker) { b.Retention.Events = 2 },
		end: func(f *brokertest.Fixture) {
			for range 10 {
				f.Publish(strings.Repeat("x", 1<<20))
			}
		}},
	{name: "WriteTimeout", reason: sse.ErrPeerGone, sel: sse.Selection{MaxLag: -1}, end: func(f *brokertest.Fixture) {
		f.Publish(strings.Repeat("x", 1<<20))
		time.Sleep(time.Minute)
	}},
	{name: "panic of a hook", reason: sse.ErrClosed, sel: sse.Selection{Lag: sse.LagSkip, MaxLag: 1},
		configure: func(b *sse.Broker) {
			b.OnDrop = func(sse.Subscriber, int) { panic(http.ErrAbortHandler) }
		},
		end: func(f *brokertest.Fixture) {
			for range 5 {
				f.Publish("x")
			}
		}},
	{name: "Shutdown", reason: sse.ErrShutdown, end: func(f *brokertest.Fixture) { _ = f.Broker.Shutdown(f.T.Context()) }},
	{name: "drain", reason: sse.ErrShutdown, configure: func(b *sse.Broker) { b.DrainOver = time.Minute },
		end: func(f *brokertest.Fixture) { _ = f.Broker.Shutdown(f.T.Context()) }},
	{name: "shutdown of the server", reason: sse.ErrShutdown, end: func(f *brokertest.Fixture) {
		_ = f.Server.Shutdown(f.T.Context())
	}},
}

// When a stream has ended, its connection accepts the next request. There are two
// exceptions: the header has announced that the connection will be closed, or the
// response was cut. A proxy reuses every other connection. If the broker closed such a
// connection, the POST of another client would be lost (RFC 9112 9.6). OnDisconnect has
// received the reason for the end, and no other reason.
func TestRequestAfterEnd(t *testing.T) {
	waits := []brokertest.Wait{brokertest.Held()[0], brokertest.Parked(sse.ParkInMemory)}
	for _, e := range endings {
		for _, final := range []*sse.Event{nil, {Type: "bye"}} {
			t.Run(fmt.Sprint(e.name, ", Final ", final != nil), func(t *testing.T) {
				brokertest.InWaits(t, waits, func(t *testing.T, f *brokertest.Fixture) {
					f.Broker.Streams.Final = final
					testRequestAfter(t, f, e)
				})
			})
		}
	}
}

func testRequestAfter(t *testing.T, f *brokertest.Fixture, e ending) {
	t.Helper()
	if e.configure != nil {
		e.configure(&f.Broker)
	}
	f.Broker.Select = func(*http.Request) (sse.Selection, error) { return e.sel, nil }
	f.Options.Configure = func(server *http.Server) { f.Broker.Attach(server) }
	var ended []error
	f.Broker.OnDisconnect = func(_ sse.Subscriber, err error) { ended = append(ended, err) }
	f.ServeAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			f.Broker.ServeHTTP(w, r)
		}
	}))
	conn := f.Server.Dial()
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	synctest.Wait()
	e.end(f)
	synctest.Wait()
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	synctest.Wait()
	if len(ended) != 1 {
		t.Fatalf("%d streams have ended, want 1", len(ended))
	}
	if text := ended[0].Error(); !strings.HasPrefix(text, e.reason.Error()) || strings.Count(text, "sse: ") != 1 {
		t.Errorf("the stream ended with %q, want %q as its only reason", text, e.reason)
	}
	if resp.Close || err != nil {
		return // no client or proxy uses the connection again
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if _, err := http.ReadResponse(r, nil); err != nil {
		t.Errorf("a POST on the connection of the ended stream: %v", err)
	}
}

// If the application ends the context of a request with a cause, OnDisconnect receives
// ErrClosed with that cause.
func TestCauseOfRequestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &brokertest.Fixture{T: t}
		ends := brokertest.RecordEnds(&f.Broker)
		signedOut := errors.New("the user has signed out")
		f.ServeAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeoutCause(r.Context(), time.Minute, signedOut)
			defer cancel()
			f.Broker.ServeHTTP(w, r.WithContext(ctx))
		}))
		f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
		time.Sleep(time.Minute)
		synctest.Wait()
		ends.Want(t, sse.ErrClosed, 1)
		ends.Want(t, signedOut, 1)
	})
}

// A stream ends at Expires or in the last tenth of MaxAge, whichever is earlier,
// with or without heartbeats.
func TestExpiry(t *testing.T) {
	const minute = time.Minute
	for _, test := range []struct {
		name              string
		maxAge, expires   time.Duration
		earliest, longest time.Duration // limits of the duration, if the stream ends
	}{
		{"neither", 0, 0, 0, 0},
		{"only MaxAge", 100 * minute, 0, 90 * minute, 100 * minute},
		{"only Expires", 0, 5 * minute, 5 * minute, 5 * minute},
		{"Expires first", 100 * minute, 5 * minute, 5 * minute, 5 * minute},
		{"MaxAge first", 100 * minute, 200 * minute, 90 * minute, 100 * minute},
		{"already expired", 100 * minute, -minute, 0, 0},
	} {
		for _, heartbeat := range []time.Duration{0, -1} {
			t.Run(test.name, func(t *testing.T) {
				inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
					f.Broker.MaxAge, f.Broker.Streams.Heartbeat = test.maxAge, heartbeat
					f.Broker.Select = func(*http.Request) (sse.Selection, error) {
						var sel sse.Selection
						if test.expires != 0 {
							sel.Expires = time.Now().Add(test.expires)
						}
						return sel, nil
					}
					ends := brokertest.RecordEnds(&f.Broker)
					f.Serve()
					start := time.Now()
					f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
					time.Sleep(210 * minute)
					synctest.Wait()
					if test.expires == 0 && test.maxAge == 0 {
						ends.Want(t, sse.ErrExpired, 0)
						return
					}
					ends.Want(t, sse.ErrExpired, 1)
					for _, at := range ends.Times() {
						took := at.Sub(start)
						if took < test.earliest || took > test.longest {
							t.Errorf("the stream ended after %v, want from %v to %v", took,
								test.earliest, test.longest)
						}
					}
				})
			})
		}
	}
}

// The nanoseconds from 1970 to the year 9999 do not fit into an int64. A stream with
// such an Expires does not end.
func TestExpiresFarAway(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		expires := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Expires: expires}, nil
		}
		f.Serve()
		var disconnected int
		f.Broker.OnDisconnect = func(sse.Subscriber, error) { disconnected++ }
		l := f.Listen("")
		time.Sleep(time.Hour)
		f.Publish("1")
		l.Want(t, "1")
		if disconnected != 0 {
			t.Errorf("the stream ended %d times, want never", disconnected)
		}
		l.Stop()
		synctest.Wait()
	})
}

// expiresAt makes every stream of a fixture expire at a time. No stream ends earlier
// because it lags.
func expiresAt(f *brokertest.Fixture, expires time.Time) {
	f.Broker.Select = func(*http.Request) (sse.Selection, error) {
		return sse.Selection{Expires: expires, MaxLag: -1, MaxLagBytes: -1}, nil
	}
}

// A stream ends exactly at Expires, and its last event is Streams.Final. The client
// receives an event that is published a nanosecond before Expires, but no event that is
// published at Expires or later.
func TestNoEventAfterExpiry(t *testing.T) {
	for _, after := range []time.Duration{0, 1, time.Millisecond, time.Second} {
		for _, heartbeat := range []time.Duration{0, -1} {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				expires := time.Now().Add(100*time.Second + 12345)
				expiresAt(f, expires)
				f.Broker.Streams.Heartbeat = heartbeat
				f.Broker.Streams.Final = &sse.Event{Type: "bye", Data: "bye"}
				ends := brokertest.RecordEnds(&f.Broker)
				f.Serve()
				l := f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
				time.Sleep(time.Until(expires) - 1)
				f.Publish("in time")
				synctest.Wait()
				time.Sleep(1 + after)
				f.Publish("too late")
				time.Sleep(time.Hour)
				l.Want(t, "in time", "bye")
				ends.Want(t, sse.ErrExpired, 1)
				if at := ends.Times(); len(at) == 1 && !at[0].Equal(expires) {
					t.Errorf("the stream ended %v after Expires, want 0", at[0].Sub(expires))
				}
			})
		}
	}
}

// A write that is blocked when the stream expires is cut: the client does not receive
// the rest of the event, although the client begins to read at that moment.
func TestExpiryCutsBlockedWrite(t *testing.T) {
	for _, test := range []struct {
		writeTimeout time.Duration
		sizes        [2]int // of two events; there is room for the first only
	}{
		{0, [2]int{1 << 10, 1 << 20}},
		{-1, [2]int{1 << 10, 1 << 20}},
		{0, [2]int{58 << 10, 16_000}}, // a held stream writes the second event in one piece
		{-1, [2]int{58 << 10, 16_000}},
	} {
		inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
			expires := time.Now().Add(20 * time.Second)
			expiresAt(f, expires)
			f.Broker.Streams.WriteTimeout = test.writeTimeout
			ends := brokertest.RecordEnds(&f.Broker)
			f.Serve()
			reader := f.Readers(1, "")[0]
			for i, size := range test.sizes {
				f.Publish(brokertest.Numbered(i, size))
			}
			time.Sleep(time.Until(expires))
			synctest.Wait()
			reader.Start()
			time.Sleep(time.Hour)
			if got := reader.Data(); len(got) != 1 || got[0] != "0" {
				t.Errorf("received the events %q, want only event 0", got)
			}
			ends.Want(t, sse.ErrExpired, 1)
			if at := ends.Times(); len(at) == 1 && !at[0].Equal(expires) {
				t.Errorf("the stream ended %v after Expires, want 0", at[0].Sub(expires))
			}
		})
	}
}

// When other streams have left, the last stream still receives its heartbeats, and ends
// when it expires.
func TestTimersAfterOthersHaveLeft(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		start := time.Now()
		expiresAt(f, start.Add(time.Minute))
		f.Broker.Streams.Heartbeat, f.Broker.Cursor = 16*time.Second, sse.CursorOff
		f.Serve()
		last := listenRaw(t, f, "", nil)
		listenRaw(t, f, "", nil)
		f.Broker.Kick(func(s sse.Subscriber) bool { return s.ID == 2 })
		time.Sleep(time.Minute)
		want := []time.Duration{0, 16 * time.Second, 32 * time.Second, 48 * time.Second}
		if got := last.takeHeartbeats(start); !slices.Equal(got, want) {
			t.Errorf("the heartbeats came after %v, want %v", got, want)
		}
		if left := f.Broker.Subscribers(); len(left) != 0 {
			t.Errorf("got subscribers %+v after a minute, want none", left)
		}
	})
}

// A stream may expire after it has taken an event and before the event is written. The
// event is then not written. Here a slow Filter delays the write.
func TestExpiryDuringFilter(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		expires := time.Now().Add(time.Minute)
		f.Broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Expires: expires, Filter: func(*sse.Entry) bool {
				time.Sleep(time.Minute + time.Second/2)
				return true
			}}, nil
		}
		f.Broker.Streams.Final = &sse.Event{Type: "bye", Data: "bye"}
		ends := brokertest.RecordEnds(&f.Broker)
		f.Serve()
		l := f.Listen("", func(c *sse.Client) { c.MaxRetries = -1 })
		f.Publish("hello")
		time.Sleep(2 * time.Hour)
		l.Want(t, "bye")
		ends.Want(t, sse.ErrExpired, 1)
	})
}

// The same for parked streams. A loop is a goroutine that writes to many parked
// streams. Here a loop takes an event for a stream, and then a slow hook of another
// stream delays the write.
func TestExpiryDuringHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &brokertest.Fixture{T: t}
		sse.ParkInMemory(&f.Broker)
		expires := time.Now().Add(30 * time.Second)
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			sel := sse.Selection{Key: r.URL.RawQuery}
			if sel.Key == "expires" {
				sel.Expires = expires
			}
			return sel, nil
		}
		f.Broker.OnDisconnect = func(s sse.Subscriber, _ error) {
			switch s.Key {
			case "first":
				time.Sleep(time.Second)
			case "second":
				time.Sleep(time.Minute)
			case "expires":
				if s.Position.Seq != 0 {
					t.Errorf("the stream ended at %v, want before the event", s.Position)
				}
			}
		}
		f.Serve()
		kick := func(key string) {
			f.Broker.Kick(func(s sse.Subscriber) bool { return s.Key == key })
		}
		once := func(c *sse.Client) { c.MaxRetries = -1 }
		loops := max(1, runtime.GOMAXPROCS(0)-1)
		var expiring []*brokertest.Client
		for range loops { // each loop gets one stream of each kind
			f.Listen("?first", once)
		}
		for range loops {
			f.Listen("?second", once)
		}
		for range loops {
			expiring = append(expiring, f.Listen("?expires", once))
		}
		kick("first")
		synctest.Wait() // every loop is in a hook, for a second
		kick("second")
		f.Publish("hello")
		time.Sleep(2 * time.Minute)
		for _, c := range expiring {
			c.Want(t)
		}
	})
}

// A subscription by Broker.Subscribe ends when it has expired: the caller's loop does
// not receive the events that the subscription has taken before but not yet yielded.
func TestExpiryDuringLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker sse.Broker
		for _, data := range []string{"1", "2", "3"} {
			if _, err := broker.Publish(t.Context(), sse.Event{Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		sel := sse.Selection{Expires: time.Now().Add(90 * time.Second)}
		var got []string
		for event, err := range broker.Subscribe(t.Context(), sel, sse.Start{Earliest: true}) {
			if err != nil {
				got = append(got, err.Error())
				break
			}
			got = append(got, event.Data)
			time.Sleep(time.Minute)
		}
		if want := []string{"1", "2", sse.ErrExpired.Error()}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Each of many streams ends exactly at its own Expires, although these times are in
// random order, and although some clients disconnect before.
func TestExpiryOfMany(t *testing.T) {
	rng := testrand.New(t)
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Select = func(r *http.Request) (sse.Selection, error) {
			key := r.URL.Query().Get("expires")
			after, err := time.ParseDuration(key)
			return sse.Selection{Key: key, Expires: time.Now().Add(after)}, err
		}
		var mu sync.Mutex // guards the following
		expired := 0
		f.Broker.OnDisconnect = func(s sse.Subscriber, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(err, sse.ErrExpired) {
				return
			}
			expired++
			if took := time.Since(s.Since).String(); took != s.Key {
				t.Errorf("a stream ended after %s, want %s", took, s.Key)
			}
		}
		f.Serve()
		const streams = 60
		var leaving []*brokertest.Client
		for i := range streams {
			query := fmt.Sprint("?expires=", time.Hour+time.Duration(rng.Int64N(int64(time.Hour))))
			l := f.Listen(query, func(c *sse.Client) { c.MaxRetries = -1 })
			if i%3 == 0 {
				leaving = append(leaving, l)
			}
			time.Sleep(time.Second)
		}
		for _, l := range leaving {
			l.Stop()
		}
		time.Sleep(3 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if want := streams - len(leaving); expired != want {
			t.Errorf("%d streams have expired, want %d", expired, want)
		}
	})
}
