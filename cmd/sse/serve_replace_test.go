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

// A hub with 300 subscribers (18,000 if soak is set) is stopped while 100 events per
// second are published, and another hub replaces it. The subscribers and the events
// are distributed over several topics. No subscriber misses an event or receives an
// event twice.
func TestServeReplaced(t *testing.T) {
	skipWithoutSignals(t)
	subscribers, processCount, topics, warmup := 300, 2, 10, 100
	switch {
	case soak:
		subscribers, processCount, topics, warmup = 18_000, 3, 100, 1500
	case testing.Short():
		subscribers = 100
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := newHubService(t)
	s.start()
	var processes []*subscriberProcess
	for i := range processCount {
		n := subscribers / processCount
		processes = append(processes, subscriberSpec{s.addr, i * n, n, topics}.start(t))
	}
	for _, process := range processes {
		process.await("open")
	}
	p := newPacedPublishers(ctx, s, topics)
	p.await(warmup)
	first, second := s.hub, startHub(t, s.flags...)
	second.await(second.hasLog) // its first line: it waits for the lock
	s.markDown()
	began := time.Now()
	first.signal(syscall.SIGTERM)
	first.checkExit(exitDone)
	endedAfter := time.Since(began)
	second.await(second.ready)
	servedAfter := time.Since(began)
	s.hub = second
	s.markUp()
	for _, process := range processes {
		process.await("reconnected")
	}
	reconnectedAfter := time.Since(began)
	p.await(warmup)
	counts := p.stop()
	cpu := [2]time.Duration{first.cpuTime(), 0}
	var all subscriberReport
	for _, process := range processes {
		process.send(counts)
	}
	for _, process := range processes {
		all.add(process.report())
	}
	second.signal(syscall.SIGTERM)
	second.checkExit(exitDone)
	cpu[1] = second.cpuTime()
	if all.ErrorCount > 0 {
		t.Errorf("%d errors, for example\n%s\nfirst hub:\n%s\nsecond hub:\n%s", all.ErrorCount,
			strings.Join(all.Errors, "\n"), first.logText(), second.logText())
	}
	if len(all.Delays) != subscribers || len(all.Gaps) != subscribers {
		t.Errorf("%d subscribers received %d reconnect delays and reconnected %d times",
			subscribers, len(all.Delays), len(all.Gaps))
	}
	t.Logf("%d subscribers, %d events; publishing took %v",
		subscribers, sum(counts), formatSpread(p.durations))
	t.Logf("first hub ended after %v, second hub served after %v, all reconnected after %v",
		endedAfter, servedAfter, reconnectedAfter)
	t.Logf("CPU time: first hub %v, second %v", cpu[0], cpu[1])
	t.Logf("reconnect delays: %s", formatSpread(all.Delays))
	t.Logf("time without a stream: %s; longer than the delay by: %s; attempts without a response: %v",
		formatSpread(all.Gaps), formatSpread(all.Excess), all.FailedAttempts)
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}

// pacedPublishers runs publishers that publish 100 events per second. Each topic has
// only one publisher, so that the events of a topic are in order.
type pacedPublishers struct {
	hubs   *hubService
	ctx    context.Context
	cancel context.CancelFunc
	acks   counter
	wg     sync.WaitGroup
	counts []int // number of published events by topic; each is used by one publisher

	mu        sync.Mutex // guards the following
	durations []time.Duration
}

func newPacedPublishers(ctx context.Context, s *hubService, topics int) *pacedPublishers {
	const publishers, each = 5, 50 * time.Millisecond
	p := &pacedPublishers{hubs: s, ctx: ctx, counts: make([]int, topics)}
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

// await waits until the hub has acknowledged n more events.
func (p *pacedPublishers) await(n int) {
	p.hubs.tb.Helper()
	if p.acks.awaitMore(p.ctx, n) != nil {
		p.hubs.tb.Fatalf("the hub acknowledges no events\n%s", p.hubs.hub.logText())
	}
}

// stop ends the publishers and returns the number of events of each topic.
func (p *pacedPublishers) stop() []int {
	p.cancel()
	p.wg.Wait()
	return p.counts
}

// publish publishes the next event of a topic. It repeats the event until the
// hub acknowledges it.
func (p *pacedPublishers) publish(topic int) {
	began := time.Now()
	for p.ctx.Err() == nil {
		if p.post(topic) == nil {
			p.acks.add()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.durations = append(p.durations, time.Since(began))
			return
		}
		p.hubs.await(p.ctx)
	}
}

// post publishes the next event of a topic once.
func (p *pacedPublishers) post(topic int) error {
	number := fmt.Sprint(p.counts[topic])
	request, err := http.NewRequestWithContext(p.ctx, "POST",
		fmt.Sprint("http://", p.hubs.addr, subscriberTopics, topic), strings.NewReader(number))
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
			p.hubs.tb.Error(err)
		}
	}
	return err
}
