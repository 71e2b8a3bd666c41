package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// Load is the load client's processes, which share the subscribers.
type Load struct {
	clients  []*loadClient
	progress chan struct{} // has an element when some client has said how far it is
	source   int           // network of the next connections' addresses
	count    int           // subscribers so far
}

type loadClient struct {
	*Child[control.LoadReply]
	subscribers int
	reached     atomic.Int64 // the last wave that all its subscribers have
}

// perClient is how many subscribers one process has, far from the 20,000 open
// files that it may have in some places.
const perClient = 10_000

// nextSource makes every measurement use addresses of its own, so that what the
// kernel remembers of the ports of the one before is not in the way.
var nextSource int

// StartLoad starts as many processes of the program at path as so many
// subscribers need.
func StartLoad(ctx context.Context, path string, subscribers int) (*Load, error) {
	l := &Load{progress: make(chan struct{}, 1), source: nextSource}
	nextSource += 1 + subscribers/control.PerSource
	for i := range (subscribers + perClient - 1) / perClient {
		c := &loadClient{}
		var err error
		c.Child, err = Spawn[control.LoadReply](ctx, fmt.Sprintf("load client %d", i),
			func(line []byte) bool { return l.note(c, line) }, path)
		if err != nil {
			l.Stop()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

var reachedPrefix = []byte(`{"is":"` + control.LoadReached + `","wave":`)

// note takes the word of a client that it has reached a wave. It comes for every
// event, so it is not worth a JSON decoder.
func (l *Load) note(c *loadClient, line []byte) bool {
	rest, ok := bytes.CutPrefix(line, reachedPrefix)
	if !ok {
		return false
	}
	wave, err := strconv.ParseInt(string(bytes.TrimSuffix(rest, []byte("}"))), 10, 64)
	if err != nil {
		return false
	}
	c.reached.Store(wave)
	select {
	case l.progress <- struct{}{}:
	default:
	}
	return true
}

// reached is the last wave that all subscribers have.
func (l *Load) reached() int64 {
	least := int64(-1)
	for _, c := range l.clients {
		if wave := c.reached.Load(); c.subscribers > 0 && (least < 0 || wave < least) {
			least = wave
		}
	}
	return max(least, 0)
}

// Clients is how many processes there are.
func (l *Load) Clients() int { return len(l.clients) }

// Connect adds subscribers, divided among the clients as the command's
// concurrency is, and returns when each has its response.
func (l *Load) Connect(command control.LoadCommand, limit time.Duration) error {
	total := command.Count
	command.Do, command.Source, command.TimeoutMS = control.LoadConnect, l.source,
		int(limit.Milliseconds())
	asked := l.clients[:min(len(l.clients), total)]
	command.Concurrency = max(1, command.Concurrency/max(1, len(asked)))
	for i, c := range asked {
		command.First, command.Count = l.count, total/len(asked)
		if i < total%len(asked) {
			command.Count++
		}
		l.count += command.Count
		c.subscribers += command.Count
		if err := c.say(command); err != nil {
			return err
		}
	}
	for _, c := range asked {
		if _, err := c.await(control.LoadConnected, limit+Patience); err != nil {
			return err
		}
	}
	return nil
}

// every makes the clients speak up every so many waves only.
func (l *Load) every(waves int) error {
	for _, c := range l.clients {
		if err := c.say(control.LoadCommand{Do: control.LoadProgress, Every: int64(waves)}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Load) reset() error {
	for _, c := range l.clients {
		if err := c.say(control.LoadCommand{Do: control.LoadReset}); err != nil {
			return err
		}
		if _, err := c.await(control.LoadDone, Patience); err != nil {
			return err
		}
	}
	return nil
}

// ExpectEnd tells the clients that streams may end from now on.
func (l *Load) ExpectEnd() error {
	for _, c := range l.clients {
		if err := c.say(control.LoadCommand{Do: control.LoadExpectEnd}); err != nil {
			return err
		}
		if _, err := c.await(control.LoadDone, Patience); err != nil {
			return err
		}
	}
	return nil
}

// AwaitEnd waits until all streams have ended. After ExpectEnd it must be the
// next that is asked.
func (l *Load) AwaitEnd(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, c := range l.clients {
		r, err := c.await(control.LoadEnded, time.Until(deadline))
		if err != nil {
			return err
		}
		if r.Errors > 0 {
			return fmt.Errorf("%s: %d streams have not ended as they should; the first: %s",
				c.name, r.Errors, r.Text)
		}
	}
	return nil
}

// report adds up the clients' reports. Whatever they found wrong is an error.
func (l *Load) report() (sum control.LoadReply, err error) {
	for _, c := range l.clients {
		if err := c.say(control.LoadCommand{Do: control.LoadReport}); err != nil {
			return sum, err
		}
		r, err := c.await(control.LoadReported, Patience)
		if err != nil {
			return sum, err
		}
		sum.Subscribers += r.Subscribers
		sum.Events += r.Events
		sum.Bytes += r.Bytes
		sum.Errors += r.Errors
		sum.Latency.Merge(r.Latency)
		if sum.Text == "" {
			sum.Text = r.Text
		}
	}
	if sum.Errors > 0 {
		return sum, fmt.Errorf("%d errors in what subscribers got; the first: %s",
			sum.Errors, sum.Text)
	}
	return sum, nil
}

// Stop ends the clients, and with them their subscribers.
func (l *Load) Stop() {
	for _, c := range l.clients {
		c.in.Close() // so that they end at the same time
	}
	for _, c := range l.clients {
		c.Stop()
	}
}

func (c *loadClient) say(command control.LoadCommand) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	return c.Tell("%s", line)
}

func (c *loadClient) await(is string, limit time.Duration) (control.LoadReply, error) {
	r, err := c.Answer(limit)
	switch {
	case err != nil:
		return r, err
	case r.Is == control.LoadFailed:
		return r, errors.New(c.name + ": " + r.Text)
	case r.Is != is:
		return r, fmt.Errorf("%s says %q, want %q", c.name, r.Is, is)
	}
	return r, nil
}
