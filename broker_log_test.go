package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/reflog"
)

// When a stream ends while the broker reads the log for it, the read is canceled.
// OnDisconnect receives the reason for the end, not the error of that read.
func TestEndWhileTheLogIsRead(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(f *brokertest.Fixture, l *brokertest.Client)
		want error
	}{
		{"kick", func(f *brokertest.Fixture, _ *brokertest.Client) {
			f.Broker.Kick(func(sse.Subscriber) bool { return true })
		}, sse.ErrKicked},
		{"peer", func(_ *brokertest.Fixture, l *brokertest.Client) { l.Stop() }, sse.ErrPeerGone},
		{"expired", func(*brokertest.Fixture, *brokertest.Client) { time.Sleep(2 * time.Minute) }, sse.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
				log := brokertest.NewFakeLog()
				log.BeforeRead = func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}
				f.Broker.Log = log
				f.Broker.Retention.Events = 1
				f.Broker.Select = func(*http.Request) (sse.Selection, error) {
					return sse.Selection{Expires: time.Now().Add(time.Minute)}, nil
				}
				reasons := make(chan error, 10)
				f.Broker.OnDisconnect = func(_ sse.Subscriber, err error) { reasons <- err }
				f.Serve()
				for range 3 {
					f.Publish("x")
				}
				l := f.Listen("?since=earliest")
				test.end(f, l)
				synctest.Wait()
				select {
				case err := <-reasons:
					if !errors.Is(err, test.want) {
						t.Errorf("the stream ended with %v, want %v", err, test.want)
					}
				default:
					t.Error("the stream has not ended")
				}
				l.Stop()
			})
		})
	}
}

// When a log begins a new epoch, the positions of the old epoch become invalid. Still,
// no publisher blocks. The clients reconnect and receive a gap.
func TestLogResets(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := brokertest.NewFakeLog()
		f.Broker.Log = log
		f.Serve()
		for i := range 5 {
			f.Publish(fmt.Sprint("old ", i))
		}
		l := f.Listen("")
		log.Reset()
		f.Publish("new 1")
		time.Sleep(time.Minute)
		f.Publish("new 2")
		l.Want(t, "gap: epoch", "new 1", "new 2")
	})
}

// A response does not contain the text of a log's error.
func TestLogErrorsAreHidden(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Log = deadLog{brokertest.NewFakeLog()}
		f.Serve()
		resp, err := f.Server.Client().Get(f.Server.URL())
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

type deadLog struct{ *brokertest.FakeLog }

func (deadLog) Locate(context.Context, sse.Start, sse.Selection) (sse.Page, error) {
	return sse.Page{}, errors.New("secret.internal: connection refused")
}

// A stream that starts at a time, such as since=1m, receives events from the log if
// they are too old for the window, the broker's memory. In this test, the window
// removes these events only when the stream starts.
func TestSinceBeforeTheWindow(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Log = reflog.New(&reflog.Options{})
		f.Broker.Retention = sse.Retention{Age: time.Second}
		f.Serve()
		f.Publish("before")
		time.Sleep(time.Millisecond)
		f.Publish("1")
		f.Publish("2")
		time.Sleep(time.Minute)
		f.Listen("?since=1m").Want(t, "1", "2")
	})
}

// If the log removes an event before its Follow has yielded the event to the broker,
// subscribers receive a gap.
func TestLossBeforeFollow(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := reflog.New(&reflog.Options{Retention: []reflog.Retention{{Entries: 1}}})
		f.Broker.Log = log
		f.Serve()
		l := f.Listen("?topic=a")
		f.Publish("1", "a")
		l.Want(t, "1")
		var entries []sse.Entry
		for _, data := range []string{"2", "3"} {
			entries = append(entries, sse.Entry{
				Time: time.Now(), Topics: []string{"a"}, Event: sse.Event{Data: data},
			})
		}
		if _, err := log.Append(t.Context(), sse.AppendRequest{Entries: entries}); err != nil {
			t.Fatal(err)
		}
		l.Want(t, "1", "gap: trimmed", "3")
	})
}

// With a log, too, a stream that starts at a time begins with the first event since
// then. If the log has lost events since then, the stream begins with a gap.
func TestSinceWithLog(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := reflog.New(&reflog.Options{Retention: []reflog.Retention{{Entries: 1}}})
		f.Broker.Log = log
		f.Serve()
		for _, data := range []string{"1", "2", "3"} {
			f.Publish(data, "a")
			time.Sleep(10 * time.Second)
		}
		// The memory of the broker has all three events, the log only the last. The
		// second broker has only the log.
		f.Listen("?topic=a&since=25s").Want(t, "2", "3")
		f.Listen("?topic=a&since=15s").Want(t, "3")
		second := brokertest.Fixture{T: t, Options: f.Options}
		second.Broker.Log = log
		second.Serve()
		second.Listen("?topic=a&since=25s").Want(t, "gap: trimmed", "3")
		second.Listen("?topic=a&since=15s").Want(t, "3")
		second.Listen("?topic=a&since=5s").Want(t)
	})
}

// A page is the result of one read of the log. If the connection of a parked stream has
// no room for any byte of a page, the broker reads the page again later.
func TestPageWithoutRoom(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		log := reflog.New(nil)
		f.Broker.Log = log
		f.Broker.Retention.Events = 1
		f.Options.BufferSize = 1
		f.Serve()
		var want []string
		for i := range 40 {
			data := fmt.Sprint(i, strings.Repeat("x", 5000)) // several pages
			want = append(want, data)
			f.Publish(data, "a")
		}
		l := f.Listen("?topic=a&since=earliest")
		if got := l.Data(); !slices.Equal(got, want) {
			t.Errorf("got %d events, want %d", len(got), len(want))
		}
	})
}

// At most 16 pages of the log may be in memory. A page stops counting when its stream has
// written it. A page that is being written to a held stream stops counting after 100 ms
// at the latest, so that slow peers do not block the other streams.
func TestPagesOfHeldStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &brokertest.Fixture{T: t}
		f.Options.BufferSize = 4 << 10
		log, first := brokertest.NewWatchedLog(t, 10, 32<<10)
		f.Broker.Log = log
		f.Serve()
		const clients = 40
		f.Readers(clients, "?lastEventId="+first.String())
		for i, want := range []int64{16, 32, clients, clients} {
			synctest.Wait()
			if got := log.Reads(); got != want {
				t.Errorf("after %d × 100ms: got %d pages read, want %d", i, got, want)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// generousLog is a log whose Append returns one position more than the request has
// entries.
type generousLog struct{ sse.EventLog }

func (l generousLog) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	result, err := l.EventLog.Append(ctx, r)
	extra := result.Positions[0]
	extra.Seq += 1000
	result.Positions = append(result.Positions, extra)
	return result, err
}

// If a log returns more positions than entries, Publish returns an error. It does not
// wait for the last position, which never becomes visible.
func TestLogReturnsTooManyPositions(t *testing.T) {
	b := &sse.Broker{Log: generousLog{reflog.New(nil)}}
	defer func() { _ = b.Shutdown(t.Context()) }()
	_, err := b.Publish(t.Context(), sse.Event{Data: "x"})
	want := "sse: Broker.Log: Append returned 2 positions for 1 entries, and no error"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Subscribers receive each event once, even if every call of the log's Follow begins at
// the start of the log and yields entries twice.
func TestLogRepeatsItself(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokertest.Fixture) {
		f.Broker.Log = &repeatingLog{FakeLog: brokertest.NewFakeLog()}
		f.Broker.Logger = slog.New(slog.DiscardHandler)
		f.Serve()
		l := f.Listen("?topic=a")
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprint(i))
			f.Publish(want[i], "a")
			time.Sleep(2 * time.Second)
		}
		l.Want(t, want...)
	})
}

// repeatingLog is a log whose Follow begins at the start of the log, and yields each
// entry twice. Call n of Follow fails after n entries.
type repeatingLog struct {
	*brokertest.FakeLog
	calls int
}

func (l *repeatingLog) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		r.After = sse.Position{Epoch: r.After.Epoch}
		l.calls++
		n := 0
		for x, err := range l.FakeLog.Follow(ctx, r) {
			for range 2 {
				if !yield(x, err) {
					return
				}
			}
			if n++; n == l.calls {
				yield(sse.Entry{}, errors.New("the connection is lost"))
				return
			}
		}
	}
}
