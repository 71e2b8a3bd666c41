package sse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
)

// Issue 4, acceptance 3: subscribers that stop reading.

// reader is a client that reads only when it may.
type reader struct {
	body io.ReadCloser
	may  chan struct{} // closed when it may
	done chan struct{} // closed when it has read all

	mu     sync.Mutex // guards the following
	events []sse.Event
	end    error
}

// readers connects n clients that do not read yet.
func (f *brokerFixture) readers(n int, query string) []*reader {
	f.t.Helper()
	client := f.server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	// Or else an HTTP/2 client reads 4 MB ahead for each of them.
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	client.Transport = transport
	f.t.Cleanup(transport.CloseIdleConnections)
	all := make([]*reader, n)
	for i := range all {
		resp, err := client.Get(f.server.URL() + "/" + query)
		if err != nil {
			f.t.Fatal(err)
		}
		r := &reader{body: resp.Body, may: make(chan struct{}), done: make(chan struct{})}
		go r.read()
		f.t.Cleanup(r.close)
		all[i] = r
	}
	synctest.Wait()
	return all
}

func (r *reader) close() {
	_ = r.body.Close()
	select {
	case <-r.may:
	default:
		close(r.may)
	}
	<-r.done
}

func (r *reader) read() {
	defer close(r.done)
	<-r.may
	for event, err := range sse.NewDecoder(r.body, nil).Events() {
		r.mu.Lock()
		if err != nil {
			r.end = err
		} else if event.Type != "sse.cursor" {
			// A copy of what matters, as data is long.
			data, _, _ := strings.Cut(event.Data, " ")
			r.events = append(r.events, sse.Event{ID: event.ID, Type: event.Type, Data: strings.Clone(data)})
		}
		r.mu.Unlock()
	}
}

// got returns what it has read: numbers, and gaps as dataAndGaps has them.
func (r *reader) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return dataAndGaps(r.events)
}

// long is the number of an event, and so many bytes more.
func long(i, size int) string { return fmt.Sprint(i, " ", strings.Repeat("x", size)) }

func TestStallHurtsNobody(t *testing.T) {
	subscribers, events := 1000, 10
	switch {
	case soak:
		events = 2000
	case testing.Short():
		subscribers = 100
	}
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Select = func(*http.Request) (sse.Selection, error) {
			return sse.Selection{MaxLag: -1, MaxLagBytes: -1}, nil // or else they would be closed
		}
		f.serve()
		stalled := f.readers(subscribers/10, "")
		healthy := f.readers(subscribers-len(stalled), "")
		for _, r := range healthy {
			close(r.may)
		}
		start := time.Now()
		for i := range events {
			f.publish(long(i, 16<<10))
			synctest.Wait() // or else the healthy ones would fall behind as well
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("somebody has waited for %v", waited)
		}
		for i, r := range healthy {
			got := r.got()
			for k := range events {
				if k >= len(got) || got[k] != fmt.Sprint(k) {
					t.Fatalf("healthy subscriber %d got %q, which has no event %d", i, got, k)
				}
			}
		}
		behind := 0
		for _, s := range f.broker.Subscribers() {
			if s.Lag > 0 && s.LagBytes >= int64(s.Lag)*16<<10 {
				behind++
			}
		}
		if behind != len(stalled) {
			t.Errorf("%d are behind, want %d", behind, len(stalled))
		}
	})
}

// Those that stay stalled for long cost no more as time goes by. Later each sees
// one gap, or has been closed.
func TestStallForTenMinutes(t *testing.T) {
	subscribers := 200
	switch {
	case soak:
		subscribers = 1000
	case testing.Short():
		subscribers = 50
	}
	const retained, perSecond = 100, 10
	for _, test := range []struct {
		name   string
		lag    sse.LagPolicy
		maxLag int
		want   []string // after what the buffers had room for
		reason error
	}{
		{"disconnect", sse.LagDisconnect, retained / 2, nil, sse.ErrLagging},
		{"disconnect, the limit above what is kept", sse.LagDisconnect, 0,
			append([]string{"gap: trimmed"}, numbers(5900, 6000)...), nil},
		{"skip", sse.LagSkip, retained / 2, []string{"gap: lagging", "5999"}, nil},
		{"latest", sse.LagLatest, retained / 2, []string{"gap: lagging", "5999"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWaits(t, func(t *testing.T, f *brokerFixture) {
				f.broker.Retention.Events = retained
				f.broker.Stream.WriteTimeout = time.Hour
				f.broker.Select = func(*http.Request) (sse.Selection, error) {
					return sse.Selection{Lag: test.lag, MaxLag: test.maxLag}, nil
				}
				reasons := recordReasons(&f.broker)
				f.opts.BufferSize = 4 << 10
				f.serve()
				stalled := f.readers(subscribers, "")
				var before uint64
				for i := range 600 * perSecond {
					f.publish(long(i, 1<<10))
					if i%perSecond == 0 {
						time.Sleep(time.Second)
					}
					if i == 60*perSecond {
						before = heapInUse()
					}
				}
				if after := heapInUse(); after > before+1<<20 {
					t.Errorf("the heap has grown from %d to %d bytes", before, after)
				}
				for i, r := range stalled {
					close(r.may)
					synctest.Wait()
					got := r.got()
					n := 0
					for n < len(got) && got[n] == fmt.Sprint(n) {
						n++
					}
					if fmt.Sprint(got[n:]) != fmt.Sprint(test.want) {
						t.Fatalf("subscriber %d got %q, and after that %q, want %q", i, got[:n], got[n:],
							test.want)
					}
				}
				reasons.want(t, test.reason, map[bool]int{true: subscribers}[test.reason != nil])
			})
		})
	}
}

func numbers(from, to int) []string {
	var texts []string
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprint(i))
	}
	return texts
}

// reasons are those for which subscribers have gone, and when.
type reasons struct {
	mu    sync.Mutex // guards the following
	all   []error
	times []time.Time
}

func recordReasons(b *sse.Broker) *reasons {
	r := &reasons{}
	b.OnDisconnect = func(_ sse.Subscriber, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, err)
		r.times = append(r.times, time.Now())
	}
	return r
}

// want checks that so many have gone, all for one reason.
func (r *reasons) want(t *testing.T, reason error, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) != n {
		t.Errorf("%d subscribers have gone, want %d", len(r.all), n)
	}
	for _, err := range r.all {
		if !errors.Is(err, reason) {
			t.Errorf("one has gone because of %v, want %v", err, reason)
		}
	}
}

// A subscriber that takes nothing for WriteTimeout is freed, at the next turn of
// the wheel if it is parked.
func TestStallIsFreed(t *testing.T) {
	inWaits(t, func(t *testing.T, f *brokerFixture) {
		f.broker.Stream.WriteTimeout = 5 * time.Second
		reasons := recordReasons(&f.broker)
		f.serve()
		const n = 100
		f.readers(n, "")
		time.Sleep(7 * time.Second)
		start := time.Now()
		f.publish(long(0, 1<<20))
		time.Sleep(15*time.Second + 6*time.Second)
		reasons.want(t, sse.ErrPeerGone, n)
		for _, at := range reasons.times {
			waited := at.Sub(start)
			if f.broker.Park && (waited < 5*time.Second || waited > 6*time.Second) ||
				!f.broker.Park && waited != 5*time.Second {
				t.Fatalf("a subscriber was freed after %v", waited)
			}
		}
		if left := f.broker.Subscribers(); len(left) != 0 {
			t.Errorf("%d subscribers are left", len(left))
		}
	})
}
