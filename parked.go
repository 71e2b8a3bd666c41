package sse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// poller is what parked streams need of the system. It is thin, so that all else
// can be tested in fake time.
type poller interface {
	// adopt takes a connection over, closes it, and returns a descriptor of its
	// socket. From then on wait reports what happens to it under the token. A
	// peer that acknowledges nothing for the timeout, if that is positive, is
	// gone. On error the connection is as it was.
	adopt(conn net.Conn, token uint64, timeout time.Duration) (fd int, err error)

	// write writes what there is room for, which may be nothing.
	write(fd int, p []byte) (int, error)

	// wait blocks until something has happened, and says what. The error says that
	// stop was called.
	wait(events []readiness) (int, error)

	// close closes a descriptor. No more events of it are reported once it has
	// returned, but for those that wait has returned already.
	close(fd int)

	stop()
}

// readiness is that there is room again after a write that found too little, or
// that the peer has gone. Of room there may be a report too many.
type readiness struct {
	token uint64
	gone  bool
}

// parked is a stream that waits without a goroutine. Its loop owns the descriptor:
// nobody else writes to it or closes it.
//
//	   ┌──── all written, and no more ───► idle ──┐
//	   │                                          │ wake
//	writing ◄──────────────────────────────── queued
//	   │                                          ▲
//	   └──── no room: rest, half ──► blocked ─────┘ readiness
//
// What changes is guarded by the lock of the broker, but for what the loop alone
// uses between gathering and finishing.
type parked struct {
	subscriber
	loop    *loop
	fd      int32
	slot    uint32 // in the table of the loop
	chunked bool   // HTTP/1.1 frames the body; HTTP/1.0 ends it with the connection
	queued  bool   // in the ready list of the loop
	blocked bool   // a write found too little room
	roomy   bool   // there was room again since the write began
	lost    bool   // nothing can be written any more
	over    bool   // it was ended
	*stuck         // what is left of a write that found too little room, or nil
	page    *page  // that was fetched from the log for it, or nil
}

// stuck is the rest of a write. It holds on to one event at most: for the others
// the cursor was put back.
type stuck struct {
	rest  []byte
	after Position // the cursor when rest was written, if that is the end of an event
	since int64    // when something was taken last, in nanoseconds
}

// page is a part of the log for one parked stream. Whoever has fetched it waits
// until it was written or thrown away, which bounds how many there are.
type page struct {
	batch
	done chan struct{} // closed when nothing of it is needed any more
}

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
	buf     []byte
	shared  []byte   // the last several events that were put together,
	members []*entry // and which they were; for streams that get the same
	framed  bool
}

// job is what the loop does for one stream without the lock.
type job struct {
	*parked
	batch
	chunk   int // how many bytes of data are to be written
	written int
	err     error
	before  Position // the cursor before the batch
	cut     []byte   // what was not written of what is no event
}

const loopBatch = 64

// loops are the goroutines that write to parked streams.
type loops struct {
	create func() (poller, error) // instead of the system's
	all    []*loop
	next   int
	wait   sync.WaitGroup

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

// stopLoops ends them, once nobody is parked any more.
func (c *core) stopLoops() {
	c.mu.Lock()
	for _, l := range c.loops.all {
		l.stopping = true
		l.rouse()
		l.poller.stop()
	}
	if c.loops.cancel != nil {
		c.loops.cancel()
	}
	c.mu.Unlock()
	c.loops.wait.Wait()
}

// mayPark says why a stream must be held, or nothing.
func (c *core) mayPark(w http.ResponseWriter, r *http.Request) (why string) {
	switch {
	case !c.opts.Park:
		return ""
	case r.TLS != nil:
		return "TLS in this process"
	case r.ProtoMajor != 1:
		return r.Proto
	case r.ContentLength != 0:
		return "the request has a body"
	case c.stream.Done != nil:
		return "Broker.Stream.Done is set"
	case w.Header().Get("Transfer-Encoding") != "":
		return "the response has a Transfer-Encoding of its own"
	}
	if t := reflect.TypeOf(w).String(); t != "*http.response" {
		return "the response is wrapped by " + t
	}
	if _, ok := w.(http.Hijacker); !ok {
		return "the response cannot be hijacked"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.startLoops(); err != nil {
		return err.Error()
	}
	return ""
}

// park takes the connection away from net/http, after all that net/http is to
// send, and gives it to a loop.
func (c *core) park(w http.ResponseWriter, r *http.Request, s *subscriber, sel *Selection) error {
	opts := c.stream
	opts.Final = nil
	stream, err := accept(w, r, &opts, &Stream{bare: true}, c.preface(s))
	if err != nil {
		return err
	}
	_ = stream.Close() // which says nothing without Final
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return fmt.Errorf("sse: parking a stream: %w", err)
	}
	p := &parked{subscriber: *s, chunked: r.ProtoAtLeast(1, 1)}
	if err := c.adopt(p, conn, sel); err != nil {
		_ = conn.Close()
		c.logger.Error("sse: a stream was dropped, as it could not be parked", "error", err)
		return err
	}
	return nil
}

// adopt makes a connection that of a parked subscriber.
func (c *core) adopt(p *parked, conn net.Conn, sel *Selection) error {
	c.mu.Lock()
	if c.closed || c.draining {
		c.mu.Unlock()
		return ErrShutdown
	}
	c.loops.next++
	p.wait = p
	p.loop = c.loops.all[c.loops.next%len(c.loops.all)]
	token := p.loop.reserve(p)
	c.mu.Unlock()

	timeout := c.stream.WriteTimeout
	fd, err := p.loop.poller.adopt(conn, token, timeout)
	if err != nil {
		c.mu.Lock()
		p.loop.release(p)
		c.mu.Unlock()
		return err
	}
	p.fd = int32(fd)
	if err = c.enter(&p.subscriber, sel); err != nil {
		p.loop.poller.close(fd) // the loop does not use it yet
		c.mu.Lock()
		p.loop.release(p)
		c.mu.Unlock()
		return err
	}
	defer func() {
		if !p.begun { // the hook has panicked
			p.loop.poller.close(fd) // the loop does not use it yet
			c.left(&p.subscriber, nil)
			c.mu.Lock()
			p.loop.release(p)
			c.mu.Unlock()
		}
	}()
	c.connected(&p.subscriber)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.begun = true
	p.push() // something may have been published since the start was located
	return nil
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
	l.free = append(l.free, p.slot)
}

// lookup returns whose token it is, or nil.
func (l *loop) lookup(token uint64) *parked {
	slot := uint32(token)
	if int(slot) >= len(l.table) || l.turns[slot] != uint32(token>>32) {
		return nil
	}
	return l.table[slot]
}

// push puts a stream into the ready list, where it is at most once.
func (p *parked) push() {
	if p.queued {
		return
	}
	p.queued = true
	p.loop.ready = append(p.loop.ready, p)
	p.loop.rouse()
}

func (l *loop) rouse() {
	if l.asleep {
		l.asleep = false
		l.signal <- struct{}{}
	}
}

func (p *parked) wake()           { p.push() }
func (p *parked) interrupt(error) { p.push() }

func (p *parked) cut() {
	p.lost = true
	p.push()
}

func (p *parked) kind() (wait, why string) { return "parked", "" }

// overdue reports since when a stream has taken nothing, if there is something
// for it to take.
func (p *parked) overdue() int64 {
	if !p.blocked {
		return 0
	}
	return p.stuck.since
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

func (p *parked) react(event readiness) {
	switch {
	case event.gone:
		p.lost = true
		if p.end == nil {
			p.end = ErrPeerGone
		}
		p.idle = false
		p.push()
	case p.blocked:
		p.blocked = false
		p.push()
	default:
		p.roomy = true
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
			if l.stopping {
				l.c.mu.Unlock()
				return
			}
			l.asleep = true
			l.c.mu.Unlock()
			<-l.signal
			continue
		}
		l.c.mu.Unlock()
		for i := range l.jobs {
			l.do(&l.jobs[i])
		}
	}
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
		*j = job{parked: p, batch: batch{entries: j.entries[:0]}, before: p.cursor}
		if !p.prepare(j, now) {
			l.jobs = l.jobs[:len(l.jobs)-1]
		}
	}
	if l.ready = l.ready[n:]; len(l.ready) == 0 {
		l.ready = nil
	}
}

// prepare decides what a job is, or that there is none.
func (p *parked) prepare(j *job, now time.Time) bool {
	p.roomy = false
	switch {
	case p.over:
		return false
	case p.end != nil:
		p.over = true
		j.batch.end = p.end
		return true
	case p.stuck != nil:
		return true
	case p.page != nil:
		if p.page.done == nil {
			return false // it is being fetched
		}
		entries := append(j.entries, p.page.entries...)
		j.batch = p.page.batch
		j.entries = entries
		if p.page.empty() && p.page.batch.end == nil {
			p.dropPage()
			return p.prepare(j, now)
		}
		return true
	}
	p.pull(&p.loop.c.win, &j.batch, batchSize, now)
	if j.fetch {
		p.fetchPage(&j.batch)
		return false
	}
	return j.batch.end != nil || !j.empty()
}

// do writes, or ends the stream.
func (l *loop) do(j *job) {
	if j.batch.end != nil {
		l.end(j)
		return
	}
	l.c.report(&j.subscriber, &j.batch)
	data := l.data(j)
	j.chunk = len(data)
	for j.written < len(data) {
		n, err := l.poller.write(int(j.fd), data[j.written:])
		j.written += n
		if j.err = err; err != nil || n == 0 {
			break
		}
	}
	if j.written < len(data) && len(j.entries) == 0 && j.stuck == nil {
		j.cut = slices.Clone(data[j.written:]) // l.buf is used for the next one
	}
}

// data is what a job writes.
func (l *loop) data(j *job) []byte {
	switch {
	case j.stuck != nil:
		return j.rest
	case len(j.entries) == 0:
		l.buf = l.c.renderChunk(l.buf[:0], &j.subscriber, &j.batch, j.chunked)
		return l.buf
	case j.terms.filter != nil || j.terms.withTopic:
		return l.ownData(j)
	case len(j.entries) == 1:
		return j.entries[0].bytes(j.chunked)
	}
	if l.framed != j.chunked || !slices.Equal(l.members, j.entries) {
		l.members = append(l.members[:0], j.entries...)
		l.framed = j.chunked
		l.shared = l.shared[:0]
		for _, e := range j.entries {
			l.shared = append(l.shared, e.bytes(j.chunked)...)
		}
	}
	return l.shared
}

// ownData is what only this stream gets, as its selection has a filter or wants to
// know the topics.
func (l *loop) ownData(j *job) []byte {
	l.buf = l.buf[:0]
	kept := j.entries[:0]
	for _, e := range j.entries {
		if j.wants(e, j.epoch) {
			kept = append(kept, e)
			l.buf = j.appendOwn(l.buf, e)
		}
	}
	if j.entries = kept; len(kept) == 0 && j.beat {
		l.buf = l.c.renderChunk(l.buf, &j.subscriber, &j.batch, j.chunked)
	}
	return l.buf
}

// appendOwn appends an entry as this stream gets it.
func (p *parked) appendOwn(dst []byte, e *entry) []byte {
	if p.terms.withTopic {
		if line := appendTopicLine(nil, p.topicOf(e)); p.chunked {
			dst = appendChunk(dst, line)
		} else {
			dst = append(dst, line...)
		}
	}
	return append(dst, e.bytes(p.chunked)...)
}

// bytes are what is written for an entry.
func (e *entry) bytes(chunked bool) []byte {
	if chunked {
		return e.framed
	}
	return e.wire()
}

// appendChunk appends data as a chunk. Without data there is none: it would be
// the end.
func appendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// renderChunk is render for a parked stream.
func (c *core) renderChunk(dst []byte, s *subscriber, b *batch, chunked bool) []byte {
	if !chunked {
		return c.render(dst, s, b)
	}
	return appendChunk(dst, c.render(nil, s, b))
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
	case j.written < j.chunk:
		p.block(j, l.c)
	default:
		if p.terms.filter != nil && j.written > 0 {
			p.active = time.Now().UnixNano()
		}
		p.unblock()
		p.dropPage()
		if !p.idle || p.subscriber.end != nil {
			p.push()
		}
	}
	j.parked = nil
	clear(j.entries)
}

// unblock is for a stream that has taken everything it was given.
func (p *parked) unblock() {
	if p.stuck != nil && p.stuck.after != (Position{}) {
		p.cursor = p.stuck.after
		p.sent = p.cursor.Seq
	}
	p.stuck = nil
}

// block notes what was not written. Of a batch only the event is kept of which a
// part was; the cursor goes back to before it, so that it counts as lag until all
// of it was taken. What comes after it is looked up again then.
func (p *parked) block(j *job, c *core) {
	now := time.Now().UnixNano()
	if p.stuck != nil {
		p.stuck.rest = p.stuck.rest[j.written:]
		if j.written > 0 {
			p.stuck.since = now
		}
	} else {
		p.stuck = &stuck{since: now}
		p.keepRest(j)
		p.dropPage()
	}
	p.idle = false
	if p.blocked = !p.roomy; p.blocked {
		c.reschedule(&p.subscriber, time.Unix(0, now))
	} else {
		p.push()
	}
}

// keepRest finds the event that was cut.
func (p *parked) keepRest(j *job) {
	n, at := 0, j.before
	for _, e := range j.entries {
		data := e.bytes(p.chunked)
		if p.terms.withTopic {
			data = p.appendOwn(nil, e)
		}
		if j.written < n+len(data) {
			p.cursor, p.sent = at, at.Seq
			if j.written == n {
				// None of it was written: it is looked up again.
				p.stuck.rest = nil
				return
			}
			p.stuck.rest = data[j.written-n:]
			p.stuck.after = e.position(j.epoch)
			return
		}
		n += len(data)
		at = e.position(j.epoch)
	}
	p.stuck.rest = j.cut // a gap or a heartbeat
}

// end says farewell, if the stream is not in the middle of something, and closes
// the descriptor. All that is left of it is its place in the table.
func (l *loop) end(j *job) {
	p, cause := j.parked, j.batch.end
	if p.stuck == nil && !p.lost {
		l.buf = l.c.farewell(l.buf[:0], cause, p.chunked)
		_, _ = l.poller.write(int(p.fd), l.buf) // what there is room for
	}
	l.poller.close(int(p.fd))
	l.c.left(&p.subscriber, cause)
	l.c.freeFor(&p.subscriber)
	l.c.mu.Lock()
	p.dropPage()
	l.c.mu.Unlock()
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

// fetchPage asks for a page of the log for a parked stream. Called with mu held.
func (p *parked) fetchPage(b *batch) {
	c := p.loop.c
	p.page = &page{batch: batch{after: b.after, through: b.through, fetch: true}}
	l := &c.loops
	l.fetching = append(l.fetching, p)
	if l.fetchers < pagesAtOnce {
		l.fetchers++
		l.wait.Go(c.fetchPages)
	}
}

// fetchPages fetches pages while there are streams that wait for one, and has one
// at a time.
func (c *core) fetchPages() {
	l := &c.loops
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(l.fetching) > 0 {
		p := l.fetching[0]
		l.fetching[0] = nil
		l.fetching = l.fetching[1:]
		page := p.page
		if page == nil || p.end != nil {
			continue // it has ended
		}
		c.mu.Unlock()
		release := c.claim(l.ctx)
		c.fetch(l.ctx, &p.subscriber, &page.batch)
		release()
		c.mu.Lock()
		if p.page != page {
			continue
		}
		page.done = make(chan struct{})
		p.push()
		c.mu.Unlock()
		<-page.done
		c.mu.Lock()
	}
	l.fetching = nil
	l.fetchers--
}

// dropPage lets go of the page.
func (p *parked) dropPage() {
	if p.page != nil && p.page.done != nil {
		close(p.page.done)
	}
	p.page = nil
}
