package brokertest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
)

// Listener is an [sse.Client] that collects the events it receives.
type Listener struct {
	client *sse.Client
	cancel context.CancelFunc
	done   chan struct{} // closed when the client has ended

	mu     sync.Mutex // guards the following
	events []sse.Event
	err    error // the last error of the client, or nil
}

// Listen starts a client that subscribes with a query such as "?topic=a". Before
// the client connects, each function in adjust may set its fields. Listen waits
// until the bubble is idle: by then the stream is open, or the client has failed.
// The client ends when the test ends.
func (f *Fixture) Listen(query string, adjust ...func(*sse.Client)) *Listener {
	f.T.Helper()
	ctx, cancel := context.WithCancel(f.T.Context())
	l := &Listener{cancel: cancel, done: make(chan struct{})}
	l.client = &sse.Client{URL: f.Server.URL() + "/" + query, HTTPClient: f.Server.Client()}
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
	f.T.Cleanup(l.Stop)
	synctest.Wait()
	return l
}

// Cancel ends the client without waiting for it.
func (l *Listener) Cancel() { l.cancel() }

// Stop ends the client and waits until it has ended.
func (l *Listener) Stop() {
	l.cancel()
	<-l.done
}

// Events returns the events received so far.
func (l *Listener) Events() []sse.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Data waits until the bubble is idle and returns [DataAndGaps] of the
// events received so far.
func (l *Listener) Data() []string {
	synctest.Wait()
	return DataAndGaps(l.Events())
}

// Want fails the test if Data does not return want.
func (l *Listener) Want(t *testing.T, want ...string) {
	t.Helper()
	got := l.Data()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q (error %v)", got, want, l.err)
	}
}

// DataAndGaps returns one string for each event, in order: for a gap, "gap: " and
// its reason, for example "gap: trimmed"; for another event, its data.
func DataAndGaps(events []sse.Event) []string {
	var data []string
	for _, e := range events {
		if e.Type == "sse.gap" {
			gap, err := sse.Decode[sse.Gap](e)
			if err != nil {
				panic(err)
			}
			data = append(data, "gap: "+string(gap.Why))
			continue
		}
		data = append(data, e.Data)
	}
	return data
}
