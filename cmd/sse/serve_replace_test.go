package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Issue 6, acceptance 9: a hub with 18,000 subscribers is ended while 100 events a
// second are published, and another takes its place. Each topic has its part of the
// events, and of the subscribers; nobody misses one or gets one twice.
func TestServeReplaced(t *testing.T) {
	skipWithoutSignals(t)
	subscribers, processes, topics, settle := 300, 2, 10, 100
	switch {
	case soak:
		subscribers, processes, topics, settle = 18_000, 3, 100, 1500
	case testing.Short():
		subscribers = 100
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := newSite(t)
	s.start()
	var crowds []*crowdProcess
	for i := range processes {
		n := subscribers / processes
		crowds = append(crowds, crowdSpec{s.addr, i * n, n, topics}.start(t))
	}
	for _, c := range crowds {
		c.await("open")
	}
	p := newPacedPublishers(ctx, s, topics)
	p.await(settle)
	first, second := s.hub, startHub(t, s.flags...)
	second.await(second.spoken) // that it waits for the lock
	s.goes()
	ended := time.Now()
	first.signal(syscall.SIGTERM)
	first.exit(exitDone)
	endedAfter := time.Since(ended)
	second.await(second.ready)
	servedAfter := time.Since(ended)
	s.hub = second
	s.serves()
	for _, c := range crowds {
		c.await("back")
	}
	backAfter := time.Since(ended)
	p.await(settle)
	counts := p.stop()
	cpu := [2]time.Duration{first.cpu(), 0}
	var all crowdReport
	for _, c := range crowds {
		c.tell(counts)
	}
	for _, c := range crowds {
		all.add(c.report())
	}
	second.signal(syscall.SIGTERM)
	second.exit(exitDone)
	cpu[1] = second.cpu()
	if all.Wrongs > 0 {
		t.Errorf("%d things were wrong, such as\n%s\nfirst hub:\n%s\nsecond hub:\n%s", all.Wrongs,
			strings.Join(all.Wrong, "\n"), first.text(), second.text())
	}
	if len(all.Retries) != subscribers || len(all.Away) != subscribers {
		t.Errorf("%d subscribers were told %d times when to come back, and came back %d times",
			subscribers, len(all.Retries), len(all.Away))
	}
	t.Logf("%d subscribers, %d events; publishing took %v", subscribers, sum(counts), spread(p.took))
	t.Logf("the first hub ended after %v, the second served after %v, all were back after %v",
		endedAfter, servedAfter, backAfter)
	t.Logf("CPU time: first hub %v, second %v", cpu[0], cpu[1])
	t.Logf("told to wait %s", spread(all.Retries))
	t.Logf("were away %s; longer than told %s; attempts without an answer: %v", spread(all.Away),
		spread(all.Late), all.Unheard)
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}

// pacedPublishers publish 100 events a second. Each has topics of its own, so that
// their events are in order.
type pacedPublishers struct {
	site   *site
	ctx    context.Context
	cancel context.CancelFunc
	acks   counter
	wg     sync.WaitGroup
	counts []int // by topic

	mu   sync.Mutex // guards the following
	took []time.Duration
}

func newPacedPublishers(ctx context.Context, s *site, topics int) *pacedPublishers {
	const publishers, each = 5, 50 * time.Millisecond
	p := &pacedPublishers{site: s, ctx: ctx, counts: make([]int, topics)}
	until, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	for i := range publishers {
		p.wg.Go(func() {
			tick := time.NewTicker(each)
			defer tick.Stop()
			for topic := i; until.Err() == nil; topic += publishers {
				topic := topic % topics
				p.publish(topic)
				p.counts[topic]++
				select {
				case <-tick.C:
				case <-until.Done():
				}
			}
		})
	}
	return p
}

// await waits for n events to be acknowledged.
func (p *pacedPublishers) await(n int) {
	p.site.tb.Helper()
	if p.acks.more(p.ctx, n) != nil {
		p.site.tb.Fatalf("nothing is acknowledged any more\n%s", p.site.hub.text())
	}
}

// stop returns how many events each topic has.
func (p *pacedPublishers) stop() []int {
	p.cancel()
	p.wg.Wait()
	return p.counts
}

// publish publishes the next event of a topic, and tries until it is acknowledged.
func (p *pacedPublishers) publish(topic int) {
	began := time.Now()
	for p.ctx.Err() == nil {
		if p.post(topic) == nil {
			p.acks.add()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.took = append(p.took, time.Since(began))
			return
		}
		p.site.await(p.ctx)
	}
}

func (p *pacedPublishers) post(topic int) error {
	number := fmt.Sprint(p.counts[topic])
	request, err := http.NewRequestWithContext(p.ctx, "POST",
		fmt.Sprint("http://", p.site.addr, crowdTopic, topic), strings.NewReader(number))
	if err != nil {
		return err
	}
	request.Header.Set("Idempotency-Key", fmt.Sprint(topic, " ", number))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
		if response.StatusCode != http.StatusServiceUnavailable {
			p.site.tb.Error(err)
		}
	}
	return err
}
