package sse_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/internal/testrand"
)

// inLogs runs a test with a broker without a log, and with a broker with a log.
func inLogs(t *testing.T, test func(t *testing.T, b *sse.Broker)) {
	for _, name := range []string{"memory", "log"} {
		t.Run(name, func(t *testing.T) {
			b := &sse.Broker{}
			if name == "log" {
				b.Log = reflog.New(nil)
			}
			t.Cleanup(func() { _ = b.Shutdown(t.Context()) })
			test(t, b)
		})
	}
}

func entryOf(data string, topics ...string) sse.Entry {
	return sse.Entry{Topics: topics, Event: sse.Event{Data: data}}
}

func pageData(page sse.Page) []string {
	data := []string{}
	for _, e := range page.Entries {
		data = append(data, e.Event.Data)
	}
	return data
}

func TestAppend(t *testing.T) {
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		at, err := appendAll(t, b, entryOf("1", "a"), entryOf("2\r\nx", "b"), entryOf("3", "a", "b"))
		if err != nil || len(at) != 3 {
			t.Fatalf("Append: %v, %v", at, err)
		}
		page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"b"}}, sse.Start{Earliest: true}, 1<<20)
		if got, want := pageData(page), []string{"2\nx", "3"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Read: %q, %v, want %q", got, err, want)
		}
		if page.Entries[1].Position != at[2] {
			t.Errorf("position %v, want %v", page.Entries[1].Position, at[2])
		}
		var field *sse.FieldError
		if at, err := appendAll(t, b, entryOf("4", "a"), entryOf("5", "\n")); !errors.As(err, &field) || at != nil {
			t.Errorf("with an invalid topic: got %v, %v, want a FieldError", at, err)
		}
		if page, _ := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, sse.Start{After: at[2]}, 1); len(page.Entries) != 0 {
			t.Errorf("a refused Append has published %q", pageData(page))
		}
	})
}

func TestReadPages(t *testing.T) {
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		var want, got []string
		for i := range 100 {
			data := fmt.Sprint("event ", i)
			want = append(want, data)
			if _, err := b.Publish(t.Context(), sse.Event{Data: data}, "a"); err != nil {
				t.Fatal(err)
			}
		}
		start, pages := sse.Start{Earliest: true}, 0
		for {
			page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, start, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Entries) == 0 {
				break
			}
			got, pages = append(got, pageData(page)...), pages+1
			start = sse.Start{After: page.Next}
		}
		if !slices.Equal(got, want) || pages < 2 {
			t.Errorf("got %q in %d pages, want %q in several", got, pages, want)
		}
		page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, sse.Start{ID: "none"}, 1)
		if err != nil || page.Gap == nil || page.Gap.Why != sse.GapUnknown || len(page.Entries) == 0 ||
			page.Entries[0].Event.Data != want[0] {
			t.Errorf("from an unknown id: got %q, %v, %v, want all events and a gap", pageData(page), page.Gap, err)
		}
	})
}

func TestForget(t *testing.T) {
	b := &sse.Broker{}
	at, err := appendAll(t, b, entryOf("1", "a"), entryOf("2", "b"), entryOf("3", "a", "b"), entryOf("4", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), "a", at[2]); err != nil {
		t.Fatal(err)
	}
	page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a", "b"}}, sse.Start{Earliest: true}, 1<<20)
	if got, want := pageData(page), []string{"2", "4"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Read: %q, %v, want %q", got, err, want)
	}
	page, _ = b.Read(t.Context(), sse.Selection{Topics: []string{"b"}}, sse.Start{After: at[1]}, 1<<20)
	if page.Lost != at[2] {
		t.Errorf("for the topic b: got the loss %v, want %v", page.Lost, at[2])
	}
}

// With a log, too, Forget removes events from the broker's memory, and a subscriber
// receives a gap for them.
func TestForgetWithLog(t *testing.T) {
	b := &sse.Broker{Log: reflog.New(nil)}
	defer func() { _ = b.Shutdown(t.Context()) }()
	at, err := appendAll(t, b, entryOf("1", "a"), entryOf("2", "a"), entryOf("3", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), "a", at[2]); err != nil {
		t.Fatal(err)
	}
	for event, err := range b.Subscribe(t.Context(), sse.Selection{Topics: []string{"a", "b"}}, sse.Start{After: at[0]}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == "sse.gap" {
			return
		}
		t.Logf("%+v", event)
		if event.Data == "3" {
			t.Fatal("no gap came before event 3")
		}
	}
}

// appendAll appends entries and returns their positions.
func appendAll(t *testing.T, b *sse.Broker, entries ...sse.Entry) ([]sse.Position, error) {
	t.Helper()
	result, err := b.Append(t.Context(), sse.AppendRequest{Entries: entries})
	return result.Positions, err
}

// Append refuses a request with a key, and publishes nothing, if the broker has no log
// or a log that does not store keys.
func TestAppendWithKeyNeedsLog(t *testing.T) {
	for name, log := range map[string]sse.EventLog{"no log": nil, "no keys": keylessLog{reflog.New(nil)}} {
		t.Run(name, func(t *testing.T) {
			b := &sse.Broker{Log: log}
			defer func() { _ = b.Shutdown(t.Context()) }()
			r := sse.AppendRequest{Entries: []sse.Entry{entryOf("1", "a")}, Key: "k"}
			if result, err := b.Append(t.Context(), r); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %+v, %v, want ErrUnsupported", result, err)
			}
			page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, sse.Start{Earliest: true}, 1)
			if len(page.Entries) != 0 || err != nil {
				t.Errorf("%d events were published, %v", len(page.Entries), err)
			}
		})
	}
}

// A keylessLog does not store idempotency keys.
type keylessLog struct{ *reflog.Log }

// Append refuses a request with a key.
func (l keylessLog) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	if r.Key != "" {
		return sse.AppendResult{}, errors.ErrUnsupported
	}
	return l.Log.Append(ctx, r)
}

// The limit of Read must not be negative.
func TestReadNegativeLimit(t *testing.T) {
	var broker sse.Broker
	_, err := broker.Read(t.Context(), sse.Selection{}, sse.Start{}, -1)
	if want := "sse: the limit of Broker.Read must not be negative: -1"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// An event is removed when it is older than its topic's limit or the limit of all
// topics, even if it is the last event of the topic. A page that begins before the
// event then has the event's position in Lost.
func TestRetentionByAge(t *testing.T) {
	for name, set := range ageLimits(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b sse.Broker
				set(&b)
				origin, err := b.Position(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				at, err := appendAll(t, &b, entryOf("1", "a"))
				if err != nil {
					t.Fatal(err)
				}
				want := func(start sse.Start, lost sse.Position, data ...string) {
					t.Helper()
					page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, start, 1<<20)
					if got := pageData(page); err != nil || !slices.Equal(got, data) || page.Lost != lost {
						t.Errorf("got %q, the loss %v, %v, want %q and %v", got, page.Lost, err, data, lost)
					}
				}
				time.Sleep(time.Minute)
				want(sse.Start{After: origin}, sse.Position{}, "1")
				time.Sleep(time.Nanosecond)
				want(sse.Start{After: origin}, at[0])
				want(sse.Start{Last: 1}, sse.Position{})
			})
		})
	}
}

// A subscriber does not receive an event that is older than its topic's limit or the limit
// of all topics, although no later event has made the broker remove it. The subscriber
// receives a gap instead. This applies to an event that is too old when the subscriber
// starts, and to an event that becomes too old while the subscriber reads nothing.
func TestAgeOfSubscribedEvents(t *testing.T) {
	for name, set := range ageLimits(t) {
		for _, sel := range []sse.Selection{
			{Topics: []string{"a"}}, {Topics: []string{"a", "b"}},
			{Patterns: []sse.Pattern{mustPattern(t, "**")}},
		} {
			t.Run(fmt.Sprint(name, " ", sel.Topics), func(t *testing.T) {
				inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
					set(&f.Broker)
					f.Broker.Streams.WriteTimeout = time.Hour
					f.Options.BufferSize = 4 << 10
					f.Broker.Select = func(*http.Request) (sse.Selection, error) { return sel, nil }
					f.Serve()
					origin, err := f.Broker.Position(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					f.Publish("1", "a")
					time.Sleep(time.Minute)
					after := func(c *sse.Client) { c.LastEventID = origin.String() }
					f.Listen("", after).Want(t, "1")
					time.Sleep(time.Nanosecond)
					f.Listen("", after).Want(t, "gap: trimmed")
					stalled := f.Readers(1, "")[0]
					for i := range 100 {
						f.Publish(brokertest.Numbered(i, 16<<10), "a")
					}
					synctest.Wait()
					time.Sleep(time.Minute + 1)
					stalled.Start()
					synctest.Wait()
					got := stalled.Data()
					if n := len(got); n == 0 || n > 50 || got[n-1] != "gap: trimmed" {
						t.Errorf("the stalled subscriber received %q, want few events and a gap", got)
					}
					f.Readers(1, "")
					for i := range 100 {
						f.Publish(brokertest.Numbered(i, 16<<10), "a")
					}
					synctest.Wait()
					time.Sleep(time.Minute + 1)
					all := f.Broker.Subscribers()
					if s := all[len(all)-1]; s.Lag != 0 || s.LagBytes != 0 {
						t.Errorf("the stalled subscriber is %d events and %d bytes behind", s.Lag, s.LagBytes)
					}
				})
			})
		}
	}
}

// ageLimits has functions that set a limit of one minute: for the topic a, and for all
// topics.
func ageLimits(t *testing.T) map[string]func(*sse.Broker) {
	return map[string]func(*sse.Broker){
		"topic": func(b *sse.Broker) {
			b.TopicRetention = []sse.TopicRetention{{Pattern: mustPattern(t, "a"), Age: time.Minute}}
		},
		"all": func(b *sse.Broker) { b.Retention.Age = time.Minute },
	}
}

// The loss mark of a topic is the position of its newest lost event. If an older event
// is lost later, the mark does not move back: a subscriber whose position is between
// the two events still receives a gap.
func TestLossMarkOnlyRises(t *testing.T) {
	b := &sse.Broker{TopicRetention: []sse.TopicRetention{
		{Pattern: mustPattern(t, "short"), Events: 1},
	}}
	at, err := appendAll(t, b, entryOf("1", "a"), entryOf("2", "short", "b"), entryOf("3", "short"),
		entryOf("4", "short"), entryOf("5", "a"))
	if err != nil {
		t.Fatal(err)
	}
	// Event 3 is lost now, because topic short retains only event 4. (Event 2 is also on
	// topic b.) Events 2 and 1 are lost next.
	if err := b.Forget(t.Context(), "b", at[1]); err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), "a", at[0]); err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]sse.Position{"short": at[2], "b": at[1], "a": at[0]} {
		page, err := b.Read(t.Context(), sse.Selection{Topics: []string{topic}},
			sse.Start{After: sse.Position{Epoch: at[0].Epoch}}, 1<<20)
		if err != nil || page.Lost != want {
			t.Errorf("%s: got the loss %v, %v, want %v", topic, page.Lost, err, want)
		}
	}
	for _, pattern := range []string{"**", "short"} {
		sel := sse.Selection{Patterns: []sse.Pattern{mustPattern(t, pattern)}, Loss: sse.LossRefuse}
		for _, err := range b.Subscribe(t.Context(), sel, sse.Start{After: at[1]}) {
			var gap *sse.Gap
			if !errors.As(err, &gap) || gap.Why != sse.GapTrimmed {
				t.Errorf("%s: got %v, want the gap", pattern, err)
			}
			break
		}
	}
}

// TestPositionsRevealNothing is an attack by a subscriber of the topic news. The
// attacker tries to find out which of 1,000 values is the data of an event on another
// topic. To do so, the attacker uses the position of that event, which subscribers of
// news receive too. The attacker knows everything else about the event, even its time,
// and everything about this package, but not the secret key of the log.
func TestPositionsRevealNothing(t *testing.T) {
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		const trials, values = 100, 1000
		rng, found := testrand.New(t), 0
		for range trials {
			value := fmt.Sprint("value ", rng.IntN(values))
			if _, err := b.Publish(t.Context(), sse.Event{Data: value}, "secret"); err != nil {
				t.Fatal(err)
			}
			// In this test, the attacker knows the time of the event from this page.
			// A real subscriber of news could not read the page.
			secret, err := b.Read(t.Context(), sse.Selection{Topics: []string{"secret"}},
				sse.Start{Last: 1}, 1)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := b.Read(t.Context(), sse.Selection{Topics: []string{"news"}}, sse.Start{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if guessValue(secret.Entries[0], seen.Next, values) == value {
				found++
			}
		}
		// An attacker that only guesses finds more than four of the values in one of
		// 13 million runs of this test.
		if found > 4 {
			t.Errorf("the positions revealed %d of %d values", found, trials)
		}
	})
}

// guessValue tries each value as the data of the entry. It returns the value with which
// the check of the entry is the check of the position seen, or "value 0" if there is
// none. It does not use the entry's own data and position.
func guessValue(entry sse.Entry, seen sse.Position, values int) string {
	entry.Position = seen
	for i := range values {
		entry.Event.Data = fmt.Sprint("value ", i)
		if entry.Check([16]byte{}) == seen.Check || checkWithoutKey(&entry) == seen.Check {
			return entry.Event.Data
		}
	}
	return "value 0"
}

// checkWithoutKey is another hash that a position might contain as its check: it needs
// no key.
func checkWithoutKey(e *sse.Entry) uint32 {
	crc := uint32(1)
	number := func(n int64) {
		crc = bits.RotateLeft32(crc, 13) ^ (uint32(n)+uint32(n>>32)*31)*0x9E3779B1
	}
	for _, text := range append(e.Topics, e.Event.ID, e.Event.Type, e.Event.Data) {
		number(int64(len(text)))
		crc = crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), []byte(text))
	}
	number(int64(e.Event.Retry))
	number(e.Time.UnixNano())
	return crc
}

// A locatingLog counts the calls of Locate that ask for the last events.
type locatingLog struct {
	*reflog.Log
	asked int
}

func (l *locatingLog) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (sse.Page, error) {
	if start.Last > 0 {
		l.asked++
	}
	return l.Log.Locate(ctx, start, sel)
}

// A subscriber that asks for the last events gets them from memory. The broker asks the
// log only if it does not have all of them in memory.
func TestLastEventsFromMemory(t *testing.T) {
	log := &locatingLog{Log: reflog.New(nil)}
	b := &sse.Broker{Log: log, Retention: sse.Retention{Events: 3}}
	defer func() { _ = b.Shutdown(t.Context()) }()
	if _, err := appendAll(t, b, entryOf("1", "a/1"), entryOf("2", "b"), entryOf("3", "a/2"),
		entryOf("4", "b"), entryOf("5", "a/3")); err != nil {
		t.Fatal(err)
	}
	sel := sse.Selection{Patterns: []sse.Pattern{mustPattern(t, "a/*")}}
	for _, test := range []struct {
		last, asked int
		first       string
	}{{1, 0, "5"}, {2, 0, "3"}, {3, 1, "1"}, {9, 1, "1"}} {
		log.asked = 0
		for event, err := range b.Subscribe(t.Context(), sel, sse.Start{Last: test.last}) {
			if err != nil || event.Data != test.first || log.asked != test.asked {
				t.Errorf("last %d: %q is first, %v, after %d calls of Locate; want %q after %d",
					test.last, event.Data, err, log.asked, test.first, test.asked)
			}
			break
		}
	}
}
