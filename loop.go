package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// loop writes to parked streams.
type loop struct {
	c      *core
	poller poller
	signal chan struct{} // bound: 1; sent to when asleep becomes false

	// Guarded by the lock of the broker.
	ready    []*parked
	table    []*parked
	turns    []uint32 // how often each place in the table was used
	free     []uint32
	asleep   bool
	stopping bool

	// The loop's own.
	jobs    []job
	outs    []*output // of jobs, to be written at once
	buf     []byte    // what the outputs are, unless that is events
	shared  []byte    // the last several events that were put together, in buf,
	members []*entry  // and which they were; for streams that get the same
	framed  bool
}

// job is what the loop does for one stream without the lock.
type job struct {
	*parked
	batch
	output
	before place  // where the stream was before the batch
	cut    []byte // what was not written of what is no event
	mute   bool   // nothing can be written before the end
}

const (
	loopBatch = 256
	loopBytes = 128 << 10 // of its own, after which a loop writes
)

// loops are the goroutines that write to parked streams.
type loops struct {
	create func() (poller, error) // instead of the system's
	all    []*loop
	next   int
	wait   sync.WaitGroup
	ended  chan struct{} // made when they are stopped, closed when all have ended

	fetching []*parked // those that wait for a page
	fetchers int       // goroutines that fetch pages; bound: pagesAtOnce
	ctx      context.Context
	cancel   context.CancelFunc
}

// startLoops starts them, fewer than there are processors: writers on all of them
// would leave none to the publishers. Called with mu held.
func (c *core) startLoops() error {
	l := &c.loops
	if l.all != nil {
		return nil
	}
	create := l.create
	if create == nil {
		create = newPoller
	}
	var all []*loop
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		p, err := create()
		if err != nil {
			for _, started := range all {
				started.poller.stop()
				started.poller.free()
			}
			return err
		}
		all = append(all, &loop{c: c, poller: p, signal: signal()})
	}
	l.all = all
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for _, loop := range all {
		l.wait.Go(loop.run)
		l.wait.Go(loop.poll)
	}
	return nil
}

func signal() chan struct{} { return make(chan struct{}, 1) }

// stopLoops ends them, once nobody is parked any more. It waits for a little longer than
// ctx allows.
func (c *core) stopLoops(ctx context.Context) error {
	c.mu.Lock()
	for _, l := range c.loops.all {
		l.stopping = true
		l.rouse()
		l.poller.stop()
	}
	if c.loops.cancel != nil {
		c.loops.cancel()
	}
	ended := c.loops.ended
	if ended == nil {
		ended = make(chan struct{})
		c.loops.ended = ended
		go func() { // ends when the last hook has returned, which is the application's business
			c.loops.wait.Wait()
			for _, l := range c.loops.all {
				l.poller.free()
			}
			close(ended)
		}()
	}
	c.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-ended: // all is closed now that was cut off
		return nil
	case <-time.After(shutdownGrace):
		return fmt.Errorf("sse: a hook or Broker.Log is still busy at shutdown: %w", context.Cause(ctx))
	}
}

// reserve gives a stream a place in the table, and returns its token: the place,
// and how often it was used, so that what was reported of a stream that has gone
// is not taken for the next one's.
func (l *loop) reserve(p *parked) uint64 {
	if n := len(l.free); n > 0 {
		p.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		p.slot = uint32(len(l.table))
		l.table = append(l.table, nil)
		l.turns = append(l.turns, 0)
	}
	l.table[p.slot] = p
	l.turns[p.slot]++
	return uint64(l.turns[p.slot])<<32 | uint64(p.slot)
}

func (l *loop) release(p *parked) {
	l.table[p.slot] = nil
	if l.free = append(l.free, p.slot); l.stopping {
		l.rouse() // it may have been the last
	}
}

// over reports whether the loop is to end: nobody is parked any more, or about to be.
func (l *loop) over() bool { return l.stopping && len(l.free) == len(l.table) }

// lookup returns whose token it is, or nil.
func (l *loop) lookup(token uint64) *parked {
	slot, turn := uint32(token), token>>32
	if int(slot) >= len(l.table) || uint64(l.turns[slot]) != turn {
		return nil
	}
	return l.table[slot]
}

func (l *loop) rouse() {
	if l.asleep {
		l.asleep = false
		l.signal <- struct{}{}
	}
}

// poll tells the loop what happens to its descriptors.
func (l *loop) poll() {
	events := make([]readiness, 128)
	for {
		n, err := l.poller.wait(events)
		if err != nil {
			return
		}
		l.c.mu.Lock()
		for _, event := range events[:n] {
			if p := l.lookup(event.token); p != nil {
				p.react(event)
			}
		}
		l.c.mu.Unlock()
	}
}

// run does what is to be done, until the loop is stopped.
func (l *loop) run() {
	l.jobs = make([]job, 0, loopBatch)
	for {
		l.c.mu.Lock()
		for i := range l.jobs {
			l.finish(&l.jobs[i])
		}
		l.gather()
		if len(l.jobs) == 0 {
			if l.over() {
				l.c.mu.Unlock()
				return
			}
			l.asleep = true
			l.c.mu.Unlock()
			<-l.signal
			continue
		}
		l.c.mu.Unlock()
		first := 0
		for i := range l.jobs {
			if l.callsHook(&l.jobs[i]) {
				l.write(l.jobs[first:i]) // which is not to wait for that
				first = i
			}
			l.do(&l.jobs[i])
			if len(l.buf) >= loopBytes || i+1 == len(l.jobs) {
				l.write(l.jobs[first : i+1])
				first = i + 1
			}
		}
	}
}

// callsHook reports whether doing a job calls a hook.
func (l *loop) callsHook(j *job) bool {
	opts := l.c.opts
	return j.batch.end != nil && opts.OnDisconnect != nil ||
		j.gap != nil && opts.OnGap != nil || j.dropped > 0 && opts.OnDrop != nil
}

// gather makes jobs of what is ready.
func (l *loop) gather() {
	now := time.Now()
	l.jobs = l.jobs[:0]
	n := 0
	for ; n < len(l.ready) && len(l.jobs) < loopBatch; n++ {
		p := l.ready[n]
		l.ready[n] = nil
		p.queued = false
		if !p.begun || p.blocked && p.end == nil {
			continue
		}
		l.jobs = l.jobs[:len(l.jobs)+1]
		j := &l.jobs[len(l.jobs)-1]
		*j = job{parked: p, batch: batch{entries: j.entries[:0]}, before: p.place()}
		if !p.prepare(j, now) {
			l.jobs = l.jobs[:len(l.jobs)-1]
		} else if j.batch.end != nil {
			// Whatever happens to it from here on, it ends once: the descriptor is
			// another's when it has been closed.
			p.over = true
			j.mute = p.stuck != nil || p.lost
		}
	}
	if l.ready = l.ready[n:]; len(l.ready) == 0 {
		l.ready = nil
	}
}

// do puts together what is to be written, or ends the stream.
func (l *loop) do(j *job) {
	defer l.survive(j)
	if j.batch.end != nil {
		l.end(j)
		return
	}
	l.c.report(&j.subscriber, &j.batch)
	j.output = output{fd: int(j.parked.fd), data: l.data(j)}
}

// write writes what was put together.
func (l *loop) write(jobs []job) {
	if len(jobs) == 0 {
		return
	}
	l.outs = l.outs[:0]
	for i := range jobs {
		if len(jobs[i].data) > 0 {
			l.outs = append(l.outs, &jobs[i].output)
		}
	}
	l.poller.writeAll(l.outs)
	for i := range jobs {
		if j := &jobs[i]; j.n < len(j.data) && len(j.entries) == 0 && j.stuck == nil {
			j.cut = slices.Clone(j.data[j.n:]) // l.buf is used for the next ones
		}
	}
	l.forget()
	if l.buf = l.buf[:0]; cap(l.buf) > 8*loopBytes {
		l.buf = nil // a large event had a filter
	}
}

// survive ends a stream whose hook or filter has panicked, as net/http would do:
// the loop has others to serve.
func (l *loop) survive(j *job) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause != http.ErrAbortHandler {
		l.c.logger.Error("sse: panic in a hook or a filter; a stream ends",
			"panic", cause, "stack", string(debug.Stack()))
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if j.subscriber.end == nil {
		j.subscriber.end = ErrClosed
	}
	j.err = ErrClosed
}

// data is what a job writes.
func (l *loop) data(j *job) []byte {
	start := len(l.buf) // what is there stays, also when it grows out of its array
	switch {
	case j.stuck != nil:
		return j.rest
	case len(j.entries) == 0:
		l.buf = l.c.renderChunk(l.buf, &j.subscriber, &j.batch, j.chunked)
	case j.terms.filter != nil || j.terms.withTopic:
		l.appendOwn(j)
	case len(j.entries) == 1:
		return j.entries[0].bytes(j.chunked)
	case len(l.members) > 0 && l.framed == j.chunked && slices.Equal(l.members, j.entries):
		return l.shared
	default:
		for _, e := range j.entries {
			l.buf = append(l.buf, e.bytes(j.chunked)...)
		}
		l.forget()
		l.shared = l.buf[start:]
		l.members = append(l.members, j.entries...)
		l.framed = j.chunked
	}
	return l.buf[start:]
}

// forget lets go of the several events that were put together last.
func (l *loop) forget() {
	clear(l.members)
	l.shared, l.members = nil, l.members[:0]
}

// appendOwn appends what only this stream gets, as its selection has a filter or wants
// to know the topics.
func (l *loop) appendOwn(j *job) {
	kept := j.entries[:0]
	for _, e := range j.entries {
		if j.wants(e, j.epoch) {
			kept = append(kept, e)
			l.buf = j.parked.appendOwn(l.buf, e)
		}
	}
	clear(j.entries[len(kept):])
	if j.entries = kept; len(kept) == 0 && j.beat {
		l.buf = l.c.renderChunk(l.buf, &j.subscriber, &j.batch, j.chunked)
	}
}

// finish notes what has become of a job.
func (l *loop) finish(j *job) {
	p := j.parked
	switch {
	case j.batch.end != nil:
		l.release(p) // do has closed it
	case j.err != nil:
		p.lost = true
		if p.subscriber.end == nil {
			p.subscriber.end = fmt.Errorf("%w: %w", ErrPeerGone, j.err)
		}
		p.idle = false
		p.push()
	case j.n < len(j.data):
		p.block(j, l.c)
	default:
		if p.terms.filter != nil && j.n > 0 {
			p.active = time.Now().UnixNano()
		}
		p.unblock()
		p.dropPage()
		if !p.idle || p.subscriber.end != nil {
			p.push()
		}
	}
	j.parked = nil
	j.data, j.cut = nil, nil
	clear(j.entries)
}

// end says farewell, if the stream is not in the middle of something, and closes
// the descriptor. All that is left of it is its place in the table.
func (l *loop) end(j *job) {
	p, cause := j.parked, j.batch.end
	if !j.mute {
		last := l.c.farewell(nil, cause, p.chunked)
		l.poller.write(&output{fd: int(p.fd), data: last}) // what there is room for
	}
	l.poller.close(int(p.fd))
	defer func() { // also if the hook panics
		l.c.freeFor(&p.subscriber)
		l.c.mu.Lock()
		defer l.c.mu.Unlock()
		p.dropPage()
	}()
	l.c.left(&p.subscriber, cause)
}

// farewell appends how a stream ends: when to come back, the application's last
// event, and the mark that nothing was cut off.
//
// RFC 9112 7.1: last-chunk = 1*("0") CRLF
func (c *core) farewell(dst []byte, cause error, chunked bool) []byte {
	var last []byte
	if errors.Is(cause, ErrShutdown) {
		last = append(wire.AppendRetry(nil, c.comeBack()), '\n')
	}
	if c.stream.Final != nil {
		last, _ = AppendEvent(last, *c.stream.Final) // checked by start
	}
	if !chunked {
		return append(dst, last...)
	}
	return append(appendChunk(dst, last), "0\r\n\r\n"...)
}
