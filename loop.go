package sse

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sse-go/sse/internal/poll"
)

// loop writes to a part of the parked streams: streams that wait without a goroutine
// of their own. A loop has two goroutines. One runs poll: it waits until a socket has
// room for more bytes, or until a peer disconnects. The other runs run:
//
//	ready ──gather──► jobs ──perform──► outs ──write──► sockets
//	  ▲                                                    │
//	  └─────── finish, if the stream has more work ────────┘
type loop struct {
	st     *state
	pages  *pageWorkers
	poller poll.Poller
	wakeup chan struct{} // capacity 1; wake sends a value when it sets asleep to false

	// Guarded by state.mu.
	ready       []*parked // streams that have work, without duplicates
	streams     []*parked // the loop's streams, by parked.tableIndex; nil at a free index
	generations []uint32  // how many streams have used each index
	freeIndexes []uint32
	asleep      bool // run waits for wakeup
	stopping    bool

	// Used by run only.
	jobs          []job
	outs          []*poll.Output // outputs of jobs, written together
	buf           []byte         // data of the outputs that had to be put together: see data
	shared        []byte         // part of buf that streams with the same entries can share
	sharedEntries []*entry       // the entries whose bytes are in shared
	sharedChunked bool           // shared has the chunks of HTTP/1.1
}

// job is the loop's next work for one stream: to write a batch (see batch) or the
// stream's backlog, or to end the stream. The loop does this work while it does not hold
// state.mu.
type job struct {
	*parked
	batch
	out         poll.Output
	resumePoint resumePoint // state of the stream before the batch
	unsent      []byte      // rest of a gap, a comment or a heartbeat that was written in part
	silent      bool        // end without a write: a backlog is left, or broken is set
	late        bool        // the output was not written, because the stream has expired
}

// loopBytes is the size of buf at which a loop writes the outputs of the jobs so far,
// before it performs the next job.
const loopBytes = 128 << 10

// add adds a stream to the table and returns the stream's token: its index and the
// generation of the index. The poller reports the events of a socket by token. An
// event of an earlier stream with the same index has an older generation, so lookup
// ignores it.
func (l *loop) add(p *parked) uint64 {
	if n := len(l.freeIndexes); n > 0 {
		p.tableIndex = l.freeIndexes[n-1]
		l.freeIndexes = l.freeIndexes[:n-1]
	} else {
		p.tableIndex = uint32(len(l.streams))
		l.streams = append(l.streams, nil)
		l.generations = append(l.generations, 0)
	}
	l.streams[p.tableIndex] = p
	l.generations[p.tableIndex]++
	return uint64(l.generations[p.tableIndex])<<32 | uint64(p.tableIndex)
}

// remove removes a stream from the table.
func (l *loop) remove(p *parked) {
	l.streams[p.tableIndex] = nil
	if l.freeIndexes = append(l.freeIndexes, p.tableIndex); l.stopping {
		l.wake() // run must end if this was the last stream
	}
}

// mustEnd reports whether the loop must end: it is stopping, and has no
// streams.
func (l *loop) mustEnd() bool { return l.stopping && len(l.freeIndexes) == len(l.streams) }

// lookup returns the stream with a token, or nil if the stream was removed.
func (l *loop) lookup(token uint64) *parked {
	index, generation := uint32(token), token>>32
	if int(index) >= len(l.streams) || uint64(l.generations[index]) != generation {
		return nil
	}
	return l.streams[index]
}

// wake wakes run if it is asleep. The caller holds state.mu.
func (l *loop) wake() {
	if l.asleep {
		l.asleep = false
		l.wakeup <- struct{}{}
	}
}

// poll waits for events of the sockets, and passes each event to its stream, until
// the poller is stopped.
func (l *loop) poll() {
	events := make([]poll.Readiness, 128)
	for {
		n, err := l.poller.Wait(events)
		if err != nil {
			return
		}
		l.st.mu.Lock()
		for _, event := range events[:n] {
			if p := l.lookup(event.Token); p != nil {
				p.handleReadiness(event)
			}
		}
		l.st.mu.Unlock()
	}
}

// run does the work of the streams in the ready list, until the loop must end.
func (l *loop) run() {
	l.jobs = make([]job, 0, poll.Batch)
	for {
		l.st.mu.Lock()
		for i := range l.jobs {
			l.finish(&l.jobs[i])
		}
		l.gather()
		if len(l.jobs) == 0 {
			if l.mustEnd() {
				l.st.mu.Unlock()
				return
			}
			l.asleep = true
			l.st.mu.Unlock()
			<-l.wakeup
			continue
		}
		l.st.mu.Unlock()
		first := 0
		for i := range l.jobs {
			if l.st.hooks.hasHookFor(&l.jobs[i].batch) {
				l.write(l.jobs[first:i]) // first, so that these writes do not wait for the hook
				first = i
			}
			l.perform(&l.jobs[i])
			if len(l.buf) >= loopBytes || i+1 == len(l.jobs) {
				l.write(l.jobs[first : i+1])
				first = i + 1
			}
		}
	}
}

// gather removes streams from the ready list, and makes a job for each stream that has
// something to write or must end. It makes at most poll.Batch jobs. The caller holds
// state.mu.
func (l *loop) gather() {
	now := time.Now()
	l.st.window.expire(now)
	l.jobs = l.jobs[:0]
	n := 0
	for ; n < len(l.ready) && len(l.jobs) < poll.Batch; n++ {
		p := l.ready[n]
		l.ready[n] = nil
		p.queued = false
		if !p.connected || p.blocked && p.endCause == nil {
			continue
		}
		l.jobs = l.jobs[:len(l.jobs)+1]
		j := &l.jobs[len(l.jobs)-1]
		*j = job{parked: p, batch: batch{entries: j.entries[:0]}, resumePoint: p.resumePoint()}
		if !p.prepare(j, now) {
			l.jobs = l.jobs[:len(l.jobs)-1]
		} else if j.batch.endCause != nil {
			// From now on the stream ignores the events of its socket, so that it
			// ends only once. A second Close might close another connection, if the
			// system has given the descriptor to that connection.
			p.ending = true
			j.silent = p.backlog != nil || p.broken
		}
	}
	if l.ready = l.ready[n:]; len(l.ready) == 0 {
		l.ready = nil
	}
}

// perform ends the stream if the batch has an endCause. Otherwise perform calls OnDrop if
// the lag policy has skipped events, calls OnGap if the batch is a gap, and sets the
// job's output.
func (l *loop) perform(j *job) {
	defer l.recoverPanic(j)
	if j.batch.endCause != nil {
		l.end(j)
		return
	}
	l.st.hooks.callBatchHooks(&j.subscriber, &j.batch)
	j.out = poll.Output{FD: int(j.parked.fd), Data: l.data(j)}
}

// write writes the outputs of jobs, except the outputs of streams that have expired.
func (l *loop) write(jobs []job) {
	if len(jobs) == 0 {
		return
	}
	l.outs = l.outs[:0]
	var now time.Time
	for i := range jobs {
		j := &jobs[i]
		if len(j.out.Data) == 0 {
			continue
		}
		if j.expires() != 0 {
			if now.IsZero() {
				now = time.Now()
			}
			if j.late = j.expired(now); j.late {
				j.out.Data = nil
				continue
			}
		}
		l.outs = append(l.outs, &j.out)
	}
	l.poller.WriteAll(l.outs)
	for i := range jobs {
		if j := &jobs[i]; j.out.N < len(j.out.Data) && len(j.entries) == 0 && j.backlog == nil {
			j.unsent = slices.Clone(j.out.Data[j.out.N:]) // the next jobs reuse l.buf
		}
	}
	l.releaseShared()
	if l.buf = l.buf[:0]; cap(l.buf) > 8*loopBytes {
		l.buf = nil // do not retain the memory of a large event
	}
}

// recoverPanic recovers from a panic of a hook, and ends the stream for which the
// hook was called. The other streams of the loop continue, as the other requests of
// an http.Server continue after a handler has panicked.
func (l *loop) recoverPanic(j *job) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause != http.ErrAbortHandler {
		l.st.logger.Error("sse: a stream ends because a hook has panicked",
			"panic", cause, "stack", string(debug.Stack()))
	}
	l.st.mu.Lock()
	defer l.st.mu.Unlock()
	if j.subscriber.endCause == nil {
		j.subscriber.endCause = ErrClosed
	}
	j.out.Err = ErrClosed
}

// data returns the bytes that a job writes: the stream's backlog, the bytes of the only
// entry, or bytes in l.buf. data appends the bytes to l.buf, unless an earlier job has
// appended the same bytes. They stay unchanged until write resets l.buf: if l.buf grows
// into a new array, a result of an earlier call is still in the old array.
func (l *loop) data(j *job) []byte {
	start := len(l.buf)
	switch {
	case j.backlog != nil:
		return j.rest
	case len(j.entries) == 0:
		l.buf = l.st.renderer.appendFramed(l.buf, &j.subscriber, &j.batch, j.chunked)
	case j.opts.withTopic: // not shared: for another stream, the topic line may be different
		for _, e := range j.entries {
			l.buf = j.parked.appendEntry(l.buf, e)
		}
	case len(j.entries) == 1:
		return j.entries[0].bytes(j.chunked)
	case len(l.sharedEntries) > 0 && l.sharedChunked == j.chunked &&
		slices.Equal(l.sharedEntries, j.entries):
		return l.shared
	default:
		for _, e := range j.entries {
			l.buf = append(l.buf, e.bytes(j.chunked)...)
		}
		l.releaseShared()
		l.shared = l.buf[start:]
		l.sharedEntries = append(l.sharedEntries, j.entries...)
		l.sharedChunked = j.chunked
	}
	return l.buf[start:]
}

// releaseShared removes the references to sharedEntries and their bytes.
func (l *loop) releaseShared() {
	clear(l.sharedEntries)
	l.shared, l.sharedEntries = nil, l.sharedEntries[:0]
}

// finish updates a stream with the result of its job, and puts the stream back into
// the ready list if it has more work. The caller holds state.mu.
func (l *loop) finish(j *job) {
	p := j.parked
	switch {
	case j.batch.endCause != nil:
		l.remove(p) // perform has closed the descriptor
	case j.late:
		p.restore(j.resumePoint)
		p.releasePage()
		if p.subscriber.endCause == nil {
			p.subscriber.endCause = ErrExpired
		}
		p.idle = false
		p.enqueue()
	case j.out.Err != nil:
		p.broken = true
		if p.subscriber.endCause == nil {
			p.subscriber.endCause = fmt.Errorf("%w: %w", ErrPeerGone, j.out.Err)
		}
		p.idle = false
		p.enqueue()
	case j.out.N < len(j.out.Data):
		p.storeBacklog(j, &l.st.timers)
	default:
		p.clearBacklog()
		p.releasePage()
		if !p.idle || p.subscriber.endCause != nil {
			p.enqueue()
		}
	}
	j.parked = nil
	j.out.Data, j.unsent = nil, nil
	clear(j.entries)
}

// end ends a stream: it writes the end of the response, unless j.silent is set, closes
// the descriptor, and removes the subscriber from the broker. It does not remove the
// stream from the table: finish does that.
func (l *loop) end(j *job) {
	p, cause := j.parked, j.batch.endCause
	if !j.silent {
		last := l.st.renderer.appendEnd(nil, l.st.retryFor(cause), p.chunked)
		l.poller.Write(&poll.Output{FD: int(p.fd), Data: last}) // bytes that do not fit are dropped
	}
	l.poller.Close(int(p.fd))
	defer func() { // runs even if OnDisconnect panics
		l.st.releaseStream(hostOf(p.remote()), p.key())
		l.st.mu.Lock()
		defer l.st.mu.Unlock()
		p.releasePage()
	}()
	l.st.disconnect(&p.subscriber, cause)
}
