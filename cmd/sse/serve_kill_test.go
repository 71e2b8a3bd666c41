package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
	"github.com/sse-go/sse/internal/testrand"
)

// The hub is killed 100 times while 50 publishers are active. It stores every
// acknowledged event once and in order, although the publishers repeat the
// events that were not acknowledged. Clients that reconnect receive all events.
func TestServeKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := newHubService(t)
	s.start()
	var clients []*killClient
	for _, path := range []string{"/a", "/b", "/c", "/a,b", "/a,b,c", "/*", "/**"} {
		clients = append(clients, newKillClient(ctx, s, path))
	}
	p := newKillPublishers(ctx, s, 50)
	kills := map[string]int{} // number of kills by the state of the hub
	rng := testrand.New(t)
	for range rounds {
		kills[p.awaitKill(rng)]++
		s.markDown()
		s.hub.kill()
		if rng.IntN(5) == 0 {
			h := startHub(t, s.flags...)
			h.await(h.hasLog) // its first line: the event log was not closed
			h.kill()
			kills["while it started"]++
		}
		s.start()
	}
	p.await(50)
	p.stop()
	p.publish("end", "/a,b,c")
	for _, c := range clients {
		<-c.done
	}
	all := readHistory(t, s, "/**"+page)
	checkStored(t, all, p)
	opened := 0
	for _, c := range clients {
		opened += c.opened
		if want := readHistory(t, s, c.path+page); c.err != nil || !slices.Equal(c.got, want) {
			i := 0
			for i < min(len(c.got), len(want)) && c.got[i] == want[i] {
				i++
			}
			t.Errorf("the client of %s has %d events (%v), want %d; number %d is %v, want %v",
				c.path, len(c.got), c.err, len(want), i,
				c.got[i:min(i+3, len(c.got))], want[i:min(i+3, len(want))])
		}
	}
	t.Logf("kills: %v; %d events, %d of them acknowledged after a repeated attempt; "+
		"%d clients opened %d streams", kills, len(all), p.replayed, len(clients), opened)
}

// page is the query of a request for one page of stored events.
const page = "?follow=0&limit=10000"

// killEvent is an event that the hub has stored, or that a client has received.
type killEvent struct{ ID, Data string }

// checkStored checks the stored events, all: their positions increase, no event is
// stored twice, the events of each publisher are in order and complete, and every
// acknowledged event is stored.
func checkStored(t *testing.T, all []killEvent, p *killPublishers) {
	t.Helper()
	stored := map[string]string{} // id by data
	next := map[string]int{}      // number of the next event by publisher
	last := sse.Position{}
	for _, e := range all {
		if _, ok := stored[e.Data]; ok {
			t.Errorf("%q is stored twice", e.Data)
		}
		stored[e.Data] = e.ID
		position, err := sse.ParsePosition(e.ID)
		if err != nil || position.Seq <= last.Seq ||
			last.Epoch != 0 && position.Epoch != last.Epoch {
			t.Errorf("the position %v follows %v (%v)", position, last, err)
		}
		last = position
		publisher, number, _ := strings.Cut(e.Data, "-")
		if number != "" {
			if number != fmt.Sprint(next[publisher]) {
				t.Errorf("publisher %s: got its event %s, want %d", publisher, number, next[publisher])
			}
			next[publisher]++
		}
	}
	for data, id := range p.acknowledged {
		if stored[data] != id {
			t.Errorf("%q was acknowledged as %q, but is stored as %q", data, id, stored[data])
		}
	}
}

// readHistory returns stored events. It reads the page at the path next and the pages
// that follow, until a page is empty.
func readHistory(t testing.TB, s *hubService, next string) (all []killEvent) {
	t.Helper()
	for {
		request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.addr+next, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		before := len(all)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			var e killEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v in %s", next, err, lines.Text())
			}
			all = append(all, e)
		}
		response.Body.Close()
		if len(all) == before {
			return all
		}
		next = hubtest.NextPage(t, response)
	}
}

// killPublishers runs publishers. Each publisher publishes one event after another,
// and repeats an event until the hub acknowledges the event.
type killPublishers struct {
	hubs   *hubService
	ctx    context.Context
	cancel context.CancelFunc // ends the publishers
	client *http.Client
	acks   counter
	wg     sync.WaitGroup

	mu           sync.Mutex        // guards the following
	acknowledged map[string]string // id by data
	replayed     int               // number of events that an earlier attempt had stored
}

func newKillPublishers(ctx context.Context, s *hubService, n int) *killPublishers {
	p := &killPublishers{
		hubs: s, ctx: ctx, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}},
		acknowledged: map[string]string{},
	}
	s.tb.Cleanup(p.client.CloseIdleConnections)
	until, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	for i := range n {
		path := []string{"/a", "/b", "/c", "/a,b", "/c,a"}[i%5]
		p.wg.Go(func() {
			for k := 0; until.Err() == nil; k++ {
				p.publish(fmt.Sprint(i, "-", k), path)
			}
		})
	}
	return p
}

// awaitKill waits until it is time to kill the hub. It returns the state in which the
// hub is killed.
func (p *killPublishers) awaitKill(rng *rand.Rand) string {
	if rng.IntN(5) == 0 {
		return "when it began to serve"
	}
	p.await(1 + rng.IntN(500))
	return "while it served"
}

// await waits until the hub has acknowledged n more events.
func (p *killPublishers) await(n int) {
	p.hubs.tb.Helper()
	if p.acks.awaitMore(p.ctx, n) != nil {
		p.hubs.tb.Fatalf("the hub acknowledges no events\n%s", p.hubs.hub.logText())
	}
}

// stop ends the publishers and waits for them.
func (p *killPublishers) stop() {
	p.cancel()
	p.wg.Wait()
}

// publish repeats an event until the hub acknowledges or refuses it. Its data
// is also its idempotency key.
func (p *killPublishers) publish(data, path string) {
	for p.ctx.Err() == nil {
		id, replayed, err := p.post(data, path)
		switch err {
		case nil:
		case errEventRefused:
			return
		default:
			p.hubs.await(p.ctx)
			continue
		}
		p.acks.add()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.acknowledged[data] = id
		if replayed {
			p.replayed++
		}
		return
	}
}

var errEventRefused = errors.New("the hub refused an event")

// post publishes an event once.
func (p *killPublishers) post(data, path string) (id string, replayed bool, err error) {
	request, err := http.NewRequestWithContext(p.ctx, "POST", "http://"+p.hubs.addr+path,
		strings.NewReader(data))
	if err != nil {
		return "", false, err
	}
	request.Header.Set("Idempotency-Key", data)
	response, err := p.client.Do(request)
	if err != nil {
		return "", false, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		p.hubs.tb.Errorf("publishing %q: status %s: %s", data, response.Status, text)
		err = errEventRefused
	}
	return strings.TrimSpace(string(text)), response.Header.Get("Idempotent-Replayed") != "", err
}

// killClient is a client of the hubs. It receives events until an event has the data
// "end".
type killClient struct {
	path   string
	done   chan struct{} // closed when the other fields are final
	got    []killEvent
	opened int // number of streams
	err    error
}

func newKillClient(ctx context.Context, s *hubService, path string) *killClient {
	c := &killClient{path: path, done: make(chan struct{})}
	transport := &http.Transport{}
	client := &sse.Client{
		URL:        "http://" + s.addr + path + "?since=earliest",
		HTTPClient: &http.Client{Transport: transport},
		RetryDelay: 10 * time.Millisecond, MaxRetryDelay: 100 * time.Millisecond,
		OnState: func(change sse.StateChange) {
			if change.State == sse.StateOpen {
				c.opened++
			}
		},
	}
	go func() {
		defer close(c.done)
		defer transport.CloseIdleConnections()
		for event, err := range client.Events(ctx) {
			if err != nil {
				c.err = err
				return
			}
			c.got = append(c.got, killEvent{event.ID, event.Data}) // a gap makes the comparison fail
			if event.Data == "end" {
				return
			}
		}
	}()
	return c
}

// The data directory, or a part of it, is removed or renamed while the hub runs.
// After that, the hub acknowledges no event, logs one error, and exits.
func TestServeWithoutItsDirectory(t *testing.T) {
	if onWindows {
		t.Skip("Windows does not remove or rename open files")
	}
	rename := func(dir string) error { return os.Rename(dir, dir+".moved") }
	for _, test := range []struct {
		name string
		lose func(dir string) error
	}{
		{"removed", os.RemoveAll},
		{"renamed", rename},
		{"the events removed", func(dir string) error {
			names, err := filepath.Glob(filepath.Join(dir, "*.events"))
			for _, name := range names {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		}},
		{"the key file removed", func(dir string) error { return os.Remove(filepath.Join(dir, "key")) }},
		{"replaced by a copy", func(dir string) error {
			return errors.Join(rename(dir), os.CopyFS(dir, os.DirFS(dir+".moved")))
		}},
	} {
		for _, idle := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, idle %t", test.name, idle), func(t *testing.T) {
				t.Parallel()
				s := newHubService(t)
				s.start()
				publish := func() error {
					response, err := http.Post("http://"+s.addr+"/news", "", strings.NewReader("hello"))
					if err == nil {
						_ = response.Body.Close()
						err = fmt.Errorf("status %d", response.StatusCode)
					}
					return err
				}
				if err := publish(); err.Error() != "status 200" {
					t.Fatal(err)
				}
				if err := test.lose(s.dir()); err != nil {
					t.Fatal(err)
				}
				if !idle {
					if err := publish(); err.Error() == "status 200" {
						t.Error("the hub has acknowledged an event that nobody will find")
					}
				}
				s.hub.checkExit(exitFailed)
				var lines []string
				for line := range strings.Lines(s.hub.logText()) {
					if !strings.HasPrefix(line, "sse: serving ") && !strings.HasPrefix(line, "sse: hint: ") {
						lines = append(lines, line)
					}
				}
				want := "sse: the directory of the events, " + s.dir()
				if len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
					t.Errorf("the hub has logged %q, want one line that begins with %q", lines, want)
				}
			})
		}
	}
}
