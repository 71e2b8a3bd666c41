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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// Issue 6, acceptance 2: the hub is killed 100 times, under 50 publishers. Whatever
// it has acknowledged is there, in order and once, though publishers try again what
// was not; and clients that come back see all of it.
func TestServeKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := newSite(t)
	s.start()
	var clients []*killClient
	for _, path := range []string{"/a", "/b", "/c", "/a,b", "/a,b,c", "/*", "/**"} {
		clients = append(clients, newKillClient(ctx, s, path))
	}
	p := newKillPublishers(ctx, s, 50)
	when := map[string]int{}
	for range rounds {
		when[p.letLive()]++
		s.goes()
		s.hub.kill()
		if rand.IntN(5) == 0 {
			h := startHub(t, s.flags...)
			h.await(h.spoken) // that the log was not closed
			h.kill()
			when["while it started"]++
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
	checkKept(t, all, p)
	opened := 0
	for _, c := range clients {
		opened += c.opened
		if want := readHistory(t, s, c.path+page); c.err != nil || !slices.Equal(c.got, want) {
			at := 0
			for at < min(len(c.got), len(want)) && c.got[at] == want[at] {
				at++
			}
			t.Errorf("the client of %s has %d events (%v), want %d; number %d is %v, want %v", c.path,
				len(c.got), c.err, len(want), at, c.got[at:min(at+3, len(c.got))], want[at:min(at+3, len(want))])
		}
	}
	t.Logf("killed %v; %d events, %d of them acknowledged to a second attempt; %d clients with %d streams",
		when, len(all), p.replayed, len(clients), opened)
}

const page = "?follow=0&limit=10000"

// killEvent is an event as it was acknowledged, or read.
type killEvent struct{ ID, Data string }

// checkKept compares what is kept with what was acknowledged.
func checkKept(t *testing.T, all []killEvent, p *killPublishers) {
	t.Helper()
	kept := map[string]string{} // id by data
	next := map[string]int{}    // number by publisher
	last := sse.Position{}
	for _, e := range all {
		if _, ok := kept[e.Data]; ok {
			t.Errorf("%q is there twice", e.Data)
		}
		kept[e.Data] = e.ID
		at, err := sse.ParsePosition(e.ID)
		if err != nil || at.Seq <= last.Seq || last.Epoch != 0 && at.Epoch != last.Epoch {
			t.Errorf("the position %v follows %v (%v)", at, last, err)
		}
		last = at
		publisher, number, _ := strings.Cut(e.Data, "-")
		if number != "" {
			if number != fmt.Sprint(next[publisher]) {
				t.Errorf("publisher %s: its event %s comes where %d should", publisher, number, next[publisher])
			}
			next[publisher]++
		}
	}
	for data, id := range p.acknowledged {
		if kept[data] != id {
			t.Errorf("%q was acknowledged as %q, and is kept as %q", data, id, kept[data])
		}
	}
}

// readHistory reads pages of what is kept, until there is no more.
func readHistory(t testing.TB, s *site, next string) (all []killEvent) {
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
		next, _, _ = strings.Cut(strings.TrimPrefix(response.Header.Get("Link"), "<"), ">")
	}
}

// killPublishers publish one event after the other, each of them again until it is
// acknowledged.
type killPublishers struct {
	site   *site
	ctx    context.Context
	cancel context.CancelFunc // ends those that publish on and on
	client *http.Client
	acks   counter
	wg     sync.WaitGroup

	mu           sync.Mutex        // guards the following
	acknowledged map[string]string // id by data
	replayed     int
}

func newKillPublishers(ctx context.Context, s *site, n int) *killPublishers {
	p := &killPublishers{
		site: s, ctx: ctx, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}},
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

// letLive waits for the moment at which the hub is to be killed.
func (p *killPublishers) letLive() string {
	if rand.IntN(5) == 0 {
		return "as soon as it served"
	}
	p.await(1 + rand.IntN(500))
	return "while it served"
}

// await waits for n events to be acknowledged.
func (p *killPublishers) await(n int) {
	p.site.tb.Helper()
	if p.acks.more(p.ctx, n) != nil {
		p.site.tb.Fatalf("nothing is acknowledged any more\n%s", p.site.hub.text())
	}
}

func (p *killPublishers) stop() {
	p.cancel()
	p.wg.Wait()
}

// publish tries until the event is acknowledged. Its data is its key.
func (p *killPublishers) publish(data, path string) {
	for p.ctx.Err() == nil {
		id, replayed, err := p.post(data, path)
		switch err {
		case nil:
		case errRefused:
			return
		default:
			p.site.await(p.ctx)
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

var errRefused = errors.New("the hub has refused an event")

func (p *killPublishers) post(data, path string) (id string, replayed bool, err error) {
	request, err := http.NewRequestWithContext(p.ctx, "POST", "http://"+p.site.addr+path,
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
		p.site.tb.Errorf("publishing %q is answered with %s: %s", data, response.Status, text)
		err = errRefused
	}
	return strings.TrimSpace(string(text)), response.Header.Get("Idempotent-Replayed") != "", err
}

// killClient is a client of the hubs, and what it has got until the event "end".
type killClient struct {
	path   string
	done   chan struct{} // closed when the rest is complete
	got    []killEvent
	opened int
	err    error
}

func newKillClient(ctx context.Context, s *site, path string) *killClient {
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
			c.got = append(c.got, killEvent{event.ID, event.Data}) // a gap is one too much
			if event.Data == "end" {
				return
			}
		}
	}()
	return c
}
