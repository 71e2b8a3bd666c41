package sse

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

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

// come is called when a stream is about to begin, for which Shutdown waits until hasCome.
// It reports whether it is to be parked, or why it must be held although the broker parks.
func (c *core) come(w http.ResponseWriter, r *http.Request, v *visit) (why string, park bool) {
	wanted := c.opts.Park && r.Method == http.MethodGet
	if wanted {
		why = c.mustHold(w, r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coming++
	v.coming = true
	switch {
	case !wanted || why != "":
		return why, false
	case c.closed || c.draining:
		return "the broker is shutting down", false // its loops may have ended
	}
	if err := c.startLoops(); err != nil {
		return err.Error(), false
	}
	return "", true
}

// hasCome undoes come: the stream has begun, or never will.
func (c *core) hasCome(v *visit) {
	if !v.coming {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v.coming = false
	c.coming--
	c.checkGone()
}

// mustHold says what about a request keeps its stream from being parked, or nothing.
func (c *core) mustHold(w http.ResponseWriter, r *http.Request) string {
	switch {
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
	return ""
}

// park takes the connection away from net/http, after all that net/http is to
// send, and gives it to a loop.
func (c *core) park(w http.ResponseWriter, r *http.Request, v *visit) error {
	defer c.hasCome(v)
	opts := c.stream
	opts.Final = nil
	stream, err := accept(w, r, &opts, &Stream{bare: true}, c.preface(v.s))
	if err != nil {
		return err
	}
	_ = stream.Close() // which says nothing without Final
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return fmt.Errorf("sse: parking a stream: %w", err)
	}
	p := &parked{subscriber: *v.s, chunked: r.ProtoAtLeast(1, 1)}
	if err := c.adopt(p, conn, v); err != nil {
		_ = conn.Close()
		if !errors.Is(err, ErrShutdown) {
			c.logger.Error("sse: a stream was dropped, as it could not be parked", "error", err)
		}
		return err
	}
	return nil
}

// adopt makes a connection that of a parked subscriber.
func (c *core) adopt(p *parked, conn net.Conn, v *visit) error {
	c.mu.Lock()
	if c.closed || c.draining {
		c.mu.Unlock()
		return c.dismiss(conn, p.chunked)
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
		ended := c.closed
		c.mu.Unlock()
		if ended {
			return c.dismiss(conn, p.chunked) // the loop has no poller any more
		}
		return err
	}
	p.fd = int32(fd)
	if err = c.enter(&p.subscriber, v.topics, v.patterns); err != nil {
		if errors.Is(err, ErrShutdown) {
			p.loop.poller.write(&output{fd: fd, data: c.farewell(nil, err, p.chunked)})
		}
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

// dismiss tells a client whose stream has begun, and which is not parked as the broker
// shuts down, when to come back.
func (c *core) dismiss(conn net.Conn, chunked bool) error {
	_ = conn.SetWriteDeadline(time.Now().Add(shutdownGrace))
	_, _ = conn.Write(c.farewell(nil, ErrShutdown, chunked))
	return ErrShutdown
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

func (p *parked) wake() { p.push() }

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

func (p *parked) react(event readiness) {
	switch {
	case p.over:
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

// prepare decides what a job is, or that there is none.
func (p *parked) prepare(j *job, now time.Time) bool {
	p.roomy = false
	switch {
	case p.over:
		return false
	case p.end != nil:
		j.batch.end = p.end
		return true
	case p.stuck != nil:
		return true
	case p.page != nil:
		if p.page.done == nil {
			return false // it is being fetched
		}
		//nolint:gocritic // the array of the job is used again
		own := append(j.entries[:0], p.page.entries...)
		j.batch, j.before = p.page.batch, p.page.before
		j.entries = own
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

// place is where a subscriber was before a batch that is not written yet.
type place struct {
	cursor   Position
	conflate uint64
	live     bool
}

func (s *subscriber) place() place { return place{s.cursor, s.conflate, s.live} }

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
		p.stuck.rest = p.stuck.rest[j.n:]
		if j.n > 0 {
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
	n, at := 0, j.before.cursor
	for _, e := range j.entries {
		data := e.bytes(p.chunked)
		if p.terms.withTopic {
			data = p.appendOwn(nil, e)
		}
		if j.n < n+len(data) {
			p.cursor, p.sent = at, at.Seq
			p.conflate, p.live = j.before.conflate, j.before.live
			if j.n == n {
				// None of it was written: it is looked up again.
				p.stuck.rest = nil
				return
			}
			p.stuck.rest = data[j.n-n:]
			p.stuck.after = e.position(j.epoch)
			return
		}
		n += len(data)
		at = e.position(j.epoch)
	}
	p.stuck.rest = j.cut // a gap or a heartbeat
}
