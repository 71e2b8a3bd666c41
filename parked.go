package sse

import (
	"context"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/poll"
	"github.com/sse-go/sse/internal/wire"
)

// parked is a stream that waits without a goroutine. Once the stream is connected,
// only its loop writes to the descriptor of the socket and closes the descriptor.
//
//	   ┌──── all events written ────► idle ───────┐
//	   │                                          │ wake
//	writing ◄──────────────────────────────── queued
//	   │                                          ▲
//	   └──── no room: a backlog ────► blocked ────┘ the socket has room
//
// A stream that has more events after a write is queued again at once. A stream that
// must end is queued even if it is blocked.
//
// The broker's lock guards the fields. While the loop performs a job, between gather
// and finish, it also reads backlog without the lock. This is safe, because only finish
// changes backlog.
type parked struct {
	subscriber
	loop       *loop
	fd         int32
	tableIndex uint32       // index in loop.streams
	chunked    bool         // the body is sent in chunks (HTTP/1.1); false for HTTP/1.0
	queued     bool         // in loop.ready
	blocked    bool         // the socket had too little room for the last write
	hasRoom    bool         // the socket has reported room since the current job was made
	broken     bool         // no further write can succeed
	ending     bool         // the job that ends the stream was made
	*backlog                // rest of a write that the socket had no room for, or nil
	page       *fetchedPage // page of the log that the stream waits for or writes, or nil
}

// backlog is the rest of a write for which the socket had too little room: the rest of
// one event, gap, comment or heartbeat. While the rest of an event is in the backlog,
// the subscriber's cursor is before that event.
type backlog struct {
	rest         []byte   // nil if the part that was written ends between two events
	after        Position // the cursor to set once rest is written; zero if rest is no event
	lastProgress int64    // when the socket accepted bytes or became full, in ns since 1970
}

// enqueue adds the stream to its loop's ready list, unless it is there already.
func (p *parked) enqueue() {
	if p.queued {
		return
	}
	p.queued = true
	p.loop.ready = append(p.loop.ready, p)
	p.loop.wake()
}

func (p *parked) wake() { p.enqueue() }

func (p *parked) interrupt(error) { p.enqueue() }

func (p *parked) abort() {
	p.broken = true
	p.enqueue()
}

func (p *parked) kind() (wait, why string) { return "parked", "" }

// stalledSince returns the time at which the socket last accepted bytes of a write that
// is blocked now, in nanoseconds since 1970. It returns 0 if no write is blocked.
func (p *parked) stalledSince() int64 {
	if !p.blocked {
		return 0
	}
	return p.backlog.lastProgress
}

// handleReadiness handles an event of the stream's socket.
func (p *parked) handleReadiness(event poll.Readiness) {
	switch {
	case p.ending:
	case event.Gone:
		p.broken = true
		if p.endCause == nil {
			p.endCause = ErrPeerGone
		}
		p.idle = false
		p.enqueue()
	case p.blocked:
		p.blocked = false
		p.enqueue()
	default:
		p.hasRoom = true
	}
}

// prepare sets j to the next job of the stream. It returns false if the stream has
// nothing to do now: it is idle, waits for a page of the log, or has had its last job.
func (p *parked) prepare(j *job, now time.Time) bool {
	p.hasRoom = false
	switch {
	case p.ending:
		return false
	case p.endCause != nil:
		j.batch.endCause = p.endCause
		return true
	case p.backlog != nil:
		return true
	case p.page != nil:
		if p.page.written == nil {
			return false // a worker reads the page, or will read it
		}
		//nolint:gocritic // the job's array is reused
		own := append(j.entries[:0], p.page.entries...)
		j.batch, j.resumePoint = p.page.batch, p.page.resumePoint
		j.entries = own
		if p.page.empty() && p.page.batch.endCause == nil {
			p.releasePage()
			return p.prepare(j, now)
		}
		return true
	}
	p.pull(&p.loop.st.window, &p.loop.st.comments, &j.batch, batchSize, now)
	if j.fetch {
		p.requestPage(&j.batch)
		return false
	}
	return j.batch.endCause != nil || !j.empty()
}

// appendEntry appends an entry as the stream writes it: in chunks if the stream is
// chunked, and after a line with its topic if Selection.WithTopic is set.
func (p *parked) appendEntry(dst []byte, e *entry) []byte {
	if p.opts.withTopic {
		if line := appendTopicLine(nil, p.topicOf(e)); p.chunked {
			dst = wire.AppendChunk(dst, line)
		} else {
			dst = append(dst, line...)
		}
	}
	return append(dst, e.bytes(p.chunked)...)
}

// clearBacklog removes the backlog, if there is one, after all of it was written. If the
// backlog was the rest of an event, clearBacklog moves the cursor past that event.
func (p *parked) clearBacklog() {
	if p.backlog != nil && p.backlog.after != (Position{}) {
		p.cursor = p.backlog.after
		p.sentSeq = p.cursor.Seq
	}
	p.backlog = nil
}

// storeBacklog stores the rest of a write for which the socket had too little room. If
// the write had several events, storeBacklog stores only the rest of the event that was
// written in part. It moves the cursor back to before that event, so that the event
// counts as lag until all of it is written. storeBacklog does not store the events after
// that event, because a later pull returns them again.
func (p *parked) storeBacklog(j *job, timers *timers) {
	now := time.Now().UnixNano()
	if p.backlog != nil {
		p.backlog.rest = p.backlog.rest[j.out.N:]
		if j.out.N > 0 {
			p.backlog.lastProgress = now
		}
	} else {
		p.backlog = &backlog{lastProgress: now}
		p.storeRest(j)
		p.releasePage()
	}
	p.idle = false
	if p.blocked = !p.hasRoom; p.blocked {
		timers.reschedule(&p.subscriber, time.Unix(0, now))
	} else {
		p.enqueue()
	}
}

// storeRest stores the rest of the event that was written in part, and moves the cursor
// back to before that event. If the job wrote no events but a gap, a comment or
// a heartbeat, storeRest stores the rest of those bytes.
func (p *parked) storeRest(j *job) {
	n, at := 0, j.resumePoint.cursor
	for _, e := range j.entries {
		data := e.bytes(p.chunked)
		if p.opts.withTopic {
			data = p.appendEntry(nil, e)
		}
		if j.out.N < n+len(data) {
			p.cursor, p.sentSeq = at, at.Seq
			p.conflateThrough, p.caughtUp = j.resumePoint.conflateThrough, j.resumePoint.caughtUp
			if j.out.N == n {
				// No byte of e was written, so the next pull returns e again.
				p.backlog.rest = nil
				return
			}
			p.backlog.rest = data[j.out.N-n:]
			p.backlog.after = e.position(j.epoch)
			return
		}
		n += len(data)
		at = e.position(j.epoch)
	}
	p.backlog.rest = j.unsent // a gap, a comment or a heartbeat
}

// fetchedPage is a page for one parked stream: the result of one EventLog.Read. The
// worker that has read the page holds a permit until the page is written or discarded.
// So at most maxPages pages of parked streams are in memory.
type fetchedPage struct {
	batch
	resumePoint resumePoint   // of the stream before the page
	written     chan struct{} // nil until the page is read; closed when it is written or discarded
}

// requestPage asks the page workers for a page of the events after b.after, up to
// b.through. The caller holds the broker's lock.
func (p *parked) requestPage(b *batch) {
	p.page = &fetchedPage{
		batch:       batch{after: b.after, through: b.through, fetch: true},
		resumePoint: p.resumePoint(),
	}
	p.loop.pages.request(p)
}

// releasePage removes the page, if there is one, and unblocks the worker that has read
// it.
func (p *parked) releasePage() {
	if p.page != nil && p.page.written != nil {
		close(p.page.written)
	}
	p.page = nil
}

// pageWorkers are goroutines that read pages of the log for parked streams. state.mu
// guards waiting and running; init sets the other fields.
type pageWorkers struct {
	reader  *pageReader
	group   *sync.WaitGroup // waits for the workers
	ctx     context.Context // canceled by stop
	stop    context.CancelFunc
	waiting []*parked // streams that wait for a page; the first one has waited longest
	running int       // workers; bound: maxPages
}

func (w *pageWorkers) init(reader *pageReader, group *sync.WaitGroup) {
	w.reader, w.group = reader, group
	w.ctx, w.stop = context.WithCancel(context.Background())
}

// request asks for the page of a stream. The caller holds the broker's lock.
func (w *pageWorkers) request(p *parked) {
	w.waiting = append(w.waiting, p)
	if w.running < maxPages {
		w.running++
		w.group.Go(w.run)
	}
}

// run reads pages until no stream waits for a page. After each page it blocks until the
// stream has written or discarded that page.
func (w *pageWorkers) run() {
	mu := w.reader.mu
	mu.Lock()
	defer mu.Unlock()
	for len(w.waiting) > 0 {
		p := w.waiting[0]
		w.waiting[0] = nil
		w.waiting = w.waiting[1:]
		page := p.page
		if page == nil || p.endCause != nil {
			continue // the stream has ended
		}
		mu.Unlock()
		w.reader.read(w.ctx, &p.subscriber, &page.batch)
		mu.Lock()
		if p.page == page {
			page.written = make(chan struct{})
			p.enqueue()
			mu.Unlock()
			<-page.written
			mu.Lock()
		}
		page.permit.release()
	}
	w.waiting = nil
	w.running--
}
