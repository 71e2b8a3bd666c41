package brokertest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
)

// Client is an [sse.Client] that collects the events it receives.
type Client struct {
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
func (f *Fixture) Listen(query string, adjust ...func(*sse.Client)) *Client {
	f.T.Helper()
	ctx, cancel := context.WithCancel(f.T.Context())
	c := &Client{cancel: cancel, done: make(chan struct{})}
	c.client = &sse.Client{URL: f.Server.URL() + "/" + query, HTTPClient: f.Server.Client()}
	for _, a := range adjust {
		a(c.client)
	}
	go func() {
		defer close(c.done)
		for event, err := range c.client.Events(ctx) {
			c.mu.Lock()
			if err != nil {
				c.err = err
			} else {
				c.events = append(c.events, event)
			}
			c.mu.Unlock()
		}
	}()
	f.T.Cleanup(c.Stop)
	synctest.Wait()
	return c
}

// Cancel ends the client without waiting for it.
func (c *Client) Cancel() { c.cancel() }

// Stop ends the client and waits until it has ended.
func (c *Client) Stop() {
	c.cancel()
	<-c.done
}

// Events returns the events received so far.
func (c *Client) Events() []sse.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Data waits until the bubble is idle and returns [DataAndGaps] of the
// events received so far.
func (c *Client) Data() []string {
	synctest.Wait()
	return DataAndGaps(c.Events())
}

// Want fails the test if Data does not return want.
func (c *Client) Want(t *testing.T, want ...string) {
	t.Helper()
	got := c.Data()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q (error %v)", got, want, c.err)
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
