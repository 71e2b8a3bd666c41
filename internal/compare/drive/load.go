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

// Load is a group of processes of the load client. Each of them has a part of the
// subscribers.
type Load struct {
	clients  []*loadClient
	progress chan struct{} // receives a value when a client has reported progress
	source   int           // number of the first source address of the subscribers
	count    int           // number of subscribers so far
}

type loadClient struct {
	*Child[control.LoadReply]
	subscribers int
	reached     atomic.Int64 // the last wave that all subscribers of the client have received
}

// perClient is the number of subscribers of one process. Some systems have a
// hard limit of 20,000 open files.
const perClient = 10_000

// nextSource is the number of the first source address of the next measurement. Each
// measurement has different source addresses, because the kernel may still reserve
// the ports of earlier connections.
var nextSource int

// StartLoad starts as many processes of the program at path as the number of
// subscribers requires.
func StartLoad(ctx context.Context, path string, subscribers int) (*Load, error) {
	l := &Load{progress: make(chan struct{}, 1), source: nextSource}
	nextSource += 1 + subscribers/control.PerSource
	for i := range (subscribers + perClient - 1) / perClient {
		c := &loadClient{}
		var err error
		c.Child, err = Spawn[control.LoadReply](ctx, fmt.Sprintf("load client %d", i),
			func(line []byte) bool { return l.recordReached(c, line) }, path)
		if err != nil {
			l.Stop()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

var reachedPrefix = []byte(`{"is":"` + control.LoadReached + `","wave":`)

// recordReached handles a line with LoadReached, and returns false for other
// lines. It does not use a JSON decoder, because there is such a line for every
// event.
func (l *Load) recordReached(c *loadClient, line []byte) bool {
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

// reached returns the last wave that all subscribers have received.
func (l *Load) reached() int64 {
	least := int64(-1)
	for _, c := range l.clients {
		if wave := c.reached.Load(); c.subscribers > 0 && (least < 0 || wave < least) {
			least = wave
		}
	}
	return max(least, 0)
}

// Clients returns the number of processes.
func (l *Load) Clients() int { return len(l.clients) }

// Connect adds subscribers as a LoadConnect command describes them. It divides the
// subscribers and the concurrency of the command among the clients. It blocks until
// each subscriber is ready, or returns an error if a subscriber is not ready within
// limit.
func (l *Load) Connect(command control.LoadCommand, limit time.Duration) error {
	total := command.Count
	command.Do, command.Source, command.TimeoutMS = control.LoadConnect, l.source,
		int(limit.Milliseconds())
	clients := l.clients[:min(len(l.clients), total)]
	command.Concurrency = max(1, command.Concurrency/max(1, len(clients)))
	for i, c := range clients {
		command.First, command.Count = l.count, total/len(clients)
		if i < total%len(clients) {
			command.Count++
		}
		l.count += command.Count
		c.subscribers += command.Count
		if err := c.send(command); err != nil {
			return err
		}
	}
	for _, c := range clients {
		if _, err := c.await(control.LoadConnected, limit+Timeout); err != nil {
			return err
		}
	}
	return nil
}

// every makes the clients report their progress after every so many waves.
func (l *Load) every(waves int) error {
	for _, c := range l.clients {
		if err := c.send(control.LoadCommand{Do: control.LoadProgress, Every: int64(waves)}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Load) reset() error {
	for _, c := range l.clients {
		if err := c.send(control.LoadCommand{Do: control.LoadReset}); err != nil {
			return err
		}
		if _, err := c.await(control.LoadDone, Timeout); err != nil {
			return err
		}
	}
	return nil
}

// ExpectEnd makes the clients accept the proper end of a stream, which is otherwise
// an error.
func (l *Load) ExpectEnd() error {
	for _, c := range l.clients {
		if err := c.send(control.LoadCommand{Do: control.LoadExpectEnd}); err != nil {
			return err
		}
		if _, err := c.await(control.LoadDone, Timeout); err != nil {
			return err
		}
	}
	return nil
}

// AwaitEnd waits until all streams have ended. It must be the next call after
// ExpectEnd.
func (l *Load) AwaitEnd(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, c := range l.clients {
		r, err := c.await(control.LoadEnded, time.Until(deadline))
		if err != nil {
			return err
		}
		if r.Errors > 0 {
			return fmt.Errorf("%s: %d streams ended improperly; first error: %s",
				c.name, r.Errors, r.Text)
		}
	}
	return nil
}

// report returns the sum of the clients' reports. It returns an error if a
// subscriber has received wrong events.
func (l *Load) report() (sum control.LoadReply, err error) {
	for _, c := range l.clients {
		if err := c.send(control.LoadCommand{Do: control.LoadReport}); err != nil {
			return sum, err
		}
		r, err := c.await(control.LoadReported, Timeout)
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
		return sum, fmt.Errorf("subscribers received %d wrong events; first error: %s",
			sum.Errors, sum.Text)
	}
	return sum, nil
}

// Stop ends the clients, and thereby their subscribers.
func (l *Load) Stop() {
	for _, c := range l.clients {
		c.in.Close() // the clients then end at the same time
	}
	for _, c := range l.clients {
		c.Stop()
	}
}

func (c *loadClient) send(command control.LoadCommand) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	return c.Send("%s", line)
}

func (c *loadClient) await(is string, limit time.Duration) (control.LoadReply, error) {
	r, err := c.Reply(limit)
	switch {
	case err != nil:
		return r, err
	case r.Is == control.LoadFailed:
		return r, errors.New(c.name + ": " + r.Text)
	case r.Is != is:
		return r, fmt.Errorf("%s replied %q, want %q", c.name, r.Is, is)
	}
	return r, nil
}
