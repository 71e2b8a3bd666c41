package sse_test

import (
	"context"
	"errors"

	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// stubLog is a log in memory that does what the test wants. It ignores Start but
// for After, Earliest and an ID, which it never knows.
type stubLog struct {
	mu      sync.Mutex
	epoch   uint64
	entries []sse.Entry
	last    uint64
	removed uint64 // up to this sequence
	changed chan struct{}
	read    func(ctx context.Context) error // called first by Read, if not nil
}

func newStubLog() *stubLog { return &stubLog{epoch: 1, changed: make(chan struct{})} }

func (l *stubLog) at(seq uint64) sse.Position {
	for i := range l.entries {
		if l.entries[i].Position.Seq == seq {
			return l.entries[i].Position
		}
	}
	return sse.Position{Epoch: l.epoch, Seq: seq}
}

func (l *stubLog) Append(_ context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var at []sse.Position
	for _, e := range entries {
		l.last++
		e.Position = sse.Position{Epoch: l.epoch, Seq: l.last, Check: e.Check()}
		l.entries = append(l.entries, e)
		at = append(at, e.Position)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return at, nil
}

// remove removes what is not after a sequence.
func (l *stubLog) remove(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = seq
	l.entries = slices.DeleteFunc(l.entries, func(e sse.Entry) bool { return e.Position.Seq <= seq })
}

// beginAnew loses everything, and begins another epoch.
func (l *stubLog) beginAnew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.entries, l.last, l.removed = nil, 0, 0
}

func (l *stubLog) Read(ctx context.Context, after, through sse.Position, sel sse.Selection,
	_ int) (sse.Page, error) {
	if l.read != nil {
		if err := l.read(ctx); err != nil {
			return sse.Page{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var page sse.Page
	for _, e := range l.entries {
		if e.Position.Seq > after.Seq && (through.Seq == 0 || e.Position.Seq <= through.Seq) &&
			sel.Match(e.Topics) {
			page.Entries = append(page.Entries, e)
		}
	}
	if l.removed > after.Seq {
		page.Lost = sse.Position{Epoch: l.epoch, Seq: l.removed}
	}
	return page, nil
}

func (l *stubLog) Follow(ctx context.Context, after sse.Position) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		for {
			l.mu.Lock()
			if after.Epoch != l.epoch {
				after = sse.Position{Epoch: l.epoch}
			}
			entries, changed := slices.Clone(l.entries), l.changed
			l.mu.Unlock()
			for _, e := range entries {
				if e.Position.Seq <= after.Seq {
					continue
				}
				if !yield(e, nil) {
					return
				}
				after = e.Position
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *stubLog) Locate(_ context.Context, start sse.Start, _ sse.Selection) (sse.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	origin := sse.Position{Epoch: l.epoch}
	switch {
	case start.After != sse.Position{} && start.After.Epoch != l.epoch:
		return origin, &sse.Gap{Asked: start.After.String(), Why: "epoch"}
	case start.After != sse.Position{}:
		return start.After, nil
	case start.ID != "":
		return origin, &sse.Gap{Asked: start.ID, Why: "unknown"}
	case start.Earliest || start.Last > 0:
		return origin, nil
	}
	return l.at(l.last), nil
}

var _ sse.EventLog = (*stubLog)(nil)

// A pattern that is subscribed to already, asked for from further back: what was
// removed before that is told all the same.
func TestPatternFromFurtherBack(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Retention.Events = 3
		f.broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Patterns: []sse.Pattern{mustPattern(t, "room/*")}}, nil
		}
		f.serve()
		before := f.publish("0", "elsewhere")
		f.publish("1", "room/1")
		f.publish("2", "room/1")
		live := f.listen("")
		f.publish("3", "room/1")
		f.publish("4", "room/1") // 1 is removed
		late := f.listen("", func(c *sse.Client) { c.LastEventID = before.String() })
		live.want(t, "3", "4")
		late.want(t, "gap: trimmed", "2", "3", "4")
	})
}

// Who asks for the past as such does not hear of what is gone of it; but that is
// over once it has it.
func TestSinceHearsOfLaterLosses(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := newStubLog()
		f.broker.Log = log
		f.broker.Retention.Events = 2
		f.serve()
		f.publish("1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sel := sse.Selection{MaxLag: -1, MaxLagBytes: -1}
		var all []sse.Event
		for e, err := range f.broker.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
			if err != nil {
				break
			}
			if all = append(all, e); len(all) > 1 {
				continue
			}
			for i := range 6 {
				f.publish(fmt.Sprint(i + 2))
			}
			log.remove(4)
		}
		want := []string{"1", "gap: trimmed", "5", "6", "7"}
		if got := dataAndGaps(all); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A gap whose place the log does not tell is where the subscriber is.
func TestGapAtTheBeginningHasAPlace(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := newStubLog()
		f.broker.Log = log
		f.broker.Retention.Events = 1
		f.serve()
		for i := range 3 {
			f.publish(fmt.Sprint(i))
		}
		l := f.listen("", func(c *sse.Client) { c.LastEventID = "mine" })
		l.want(t, "gap: unknown", "0", "1", "2")
		if id := l.events[0].ID; !strings.HasPrefix(id, "~0.") {
			t.Errorf("the gap has the id %q, want the position before the first event", id)
		}
		gap, _ := sse.Decode[sse.Gap](l.events[0])
		if gap.Available == "" {
			t.Errorf("the gap does not say what is available: %+v", gap)
		}
	})
}

// What retention takes away does not stay, because something older is kept.
func TestRetentionBehindAnOldEvent(t *testing.T) {
	var broker sse.Broker
	broker.TopicRetention = []sse.Retention{{Pattern: mustPattern(t, "hot"), Events: 10}}
	if _, err := broker.Publish(t.Context(), sse.Event{Data: "old"}, "config"); err != nil {
		t.Fatal(err)
	}
	data := strings.Repeat("x", 1000)
	before := heapInUse()
	for range 30_000 {
		if _, err := broker.Publish(t.Context(), sse.Event{Data: data}, "hot"); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heapInUse()) - int64(before); grown > 5<<20 {
		t.Errorf("10 events of 1 KB are kept, and %d KB are in use", grown>>10)
	}
	runtime.KeepAlive(&broker)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Events that a filter holds back are silence.
func TestHeartbeatBetweenFilteredEvents(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Filter: func(*sse.Entry) bool { return false }}, nil
		}
		f.broker.Cursor = sse.CursorOff
		f.serve()
		resp := get(t, f.server)
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
				_, _ = f.broker.Publish(t.Context(), sse.Event{Data: "x"})
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

// What a stream waits for from the log ends with it, and is not the log's fault.
func TestEndWhileTheLogIsRead(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(f *brokerFixture, l *listener)
		want error
	}{
		{"kick", func(f *brokerFixture, _ *listener) { f.broker.Kick(1) }, sse.ErrKicked},
		{"peer", func(_ *brokerFixture, l *listener) { l.stop() }, sse.ErrPeerGone},
		{"expired", func(*brokerFixture, *listener) { time.Sleep(2 * time.Minute) }, sse.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokerFixture) {
				log := newStubLog()
				log.read = func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}
				f.broker.Log = log
				f.broker.Retention.Events = 1
				f.broker.Select = func(*http.Request) (sse.Selection, error) {
					return sse.Selection{Expires: time.Now().Add(time.Minute)}, nil
				}
				reasons := make(chan error, 10)
				f.broker.OnDisconnect = func(_ sse.Subscriber, err error) { reasons <- err }
				f.serve()
				for range 3 {
					f.publish("x")
				}
				l := f.listen("?since=earliest")
				test.end(f, l)
				synctest.Wait()
				select {
				case err := <-reasons:
					if !errors.Is(err, test.want) {
						t.Errorf("it ended with %v, want %v", err, test.want)
					}
				default:
					t.Error("it has not ended")
				}
				l.stop()
			})
		})
	}
}

// A subscriber whose hook panics is not left behind.
func TestPanicInOnConnect(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.MaxSubscribers = 1
		f.broker.OnConnect = func(sse.Subscriber) { panic(http.ErrAbortHandler) }
		f.serve()
		l := f.listen("")
		time.Sleep(time.Minute) // it comes back
		l.stop()
		func() {
			defer func() { _ = recover() }()
			for range f.broker.Subscribe(t.Context(), sse.Selection{}, sse.Start{}) {
			}
		}()
		synctest.Wait()
		if got := f.broker.Subscribers(); len(got) != 0 {
			t.Errorf("still there: %+v", got)
		}
	})
}

// A time that nanoseconds since 1970 cannot tell does not wrap around.
func TestExpiresFarAway(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		expires := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		f.broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{Expires: expires}, nil
		}
		f.serve()
		var disconnected int
		f.broker.OnDisconnect = func(sse.Subscriber, error) { disconnected++ }
		l := f.listen("")
		time.Sleep(time.Hour)
		f.publish("1")
		l.want(t, "1")
		if disconnected != 0 {
			t.Errorf("it was ended %d times", disconnected)
		}
		l.stop()
		synctest.Wait()
	})
}

// Shutdown does not wait for those who have gone.
func TestDrainEndsWhenAllAreGone(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.DrainOver = time.Hour
		f.serve()
		l := f.listen("")
		time.AfterFunc(time.Second, l.cancel)
		start := time.Now()
		if err := f.broker.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Shutdown took %v, want 1s", got)
		}
	})
}

// A log that begins anew lets go of who publishes, and of who subscribes in
// between: positions of the old epoch say nothing in the new one.
func TestLogBeginsAnew(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		log := newStubLog()
		f.broker.Log = log
		f.serve()
		for i := range 5 {
			f.publish(fmt.Sprint("old ", i))
		}
		l := f.listen("")
		log.beginAnew()
		f.publish("new 1")
		time.Sleep(time.Minute)
		f.publish("new 2")
		l.want(t, "gap: epoch", "new 1", "new 2")
	})
}

// What a Log says of itself is not for everybody.
func TestLogErrorsAreNotTold(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Log = deadLog{newStubLog()}
		f.serve()
		resp, err := f.server.Client().Get(f.server.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" ||
			strings.Contains(string(body), "secret") {
			t.Errorf("got %s, Retry-After %q, %q", resp.Status, resp.Header.Get("Retry-After"), body)
		}
	})
}

type deadLog struct{ *stubLog }

func (deadLog) Locate(context.Context, sse.Start, sse.Selection) (sse.Position, error) {
	return sse.Position{}, errors.New("secret.internal: connection refused")
}

// A filter, or a hook, that panics ends its own stream only.
func TestPanicEndsOneStream(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.MaxSubscribers = 2
		f.broker.Select = func(r *http.Request) (sse.Selection, error) {
			var sel sse.Selection
			if r.URL.Query().Has("bad") {
				sel.Filter = func(*sse.Entry) bool { panic(http.ErrAbortHandler) }
			}
			return sel, nil
		}
		f.broker.OnDisconnect = func(sse.Subscriber, error) { panic(http.ErrAbortHandler) }
		f.serve()
		good := f.listen("")
		bad := f.listen("?bad=1")
		f.publish("1")
		synctest.Wait()
		bad.stop()
		f.listen("") // there is room again
		f.publish("2")
		good.want(t, "1", "2")
		if got := len(f.broker.Subscribers()); got != 2 {
			t.Errorf("got %d subscribers, want 2", got)
		}
	})
}
