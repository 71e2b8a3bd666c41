package sse

import (
	"cmp"
	"time"
)

const (
	defaultMaxLag      = 4 << 10
	defaultMaxLagBytes = 16 << 20

	// batchSize limits the bytes of events that are written to a parked stream at
	// once. A larger event is written alone.
	batchSize = 64 << 10

	// heldBatch is the same limit for a stream that waits in its handler's goroutine
	// (a held stream), and for a loop over Broker.Subscribe. It is smaller than
	// batchSize, because the handler holds a copy of several events in memory until
	// the write of them has returned.
	heldBatch = 16 << 10
)

// Subscriber describes a subscriber of a [Broker].
type Subscriber struct {
	// ID is the subscriber's number in this broker, from 1.
	ID uint64

	// Key is the Key of its [Selection].
	Key string

	// Remote is the network address of the peer; empty for [Broker.Subscribe].
	Remote string

	// Since is the time at which the subscriber connected.
	Since time.Time

	// Topics and Patterns are the topics and patterns of its Selection.
	Topics   []string
	Patterns []Pattern

	// Position is the subscriber's cursor: the broker has delivered, or is
	// delivering, the selected events up to this position. For events that were lost
	// or skipped, it delivers a [Gap].
	Position Position

	// Lag and LagBytes are the number of selected events after Position, and their
	// bytes on the wire. An event counts once for each of the Topics and Patterns
	// that select it. Only events in the broker's memory count, so both numbers are
	// too small for a subscriber that reads old events from the Log.
	Lag      int
	LagBytes int64

	// Wait is how the stream waits: "held" in the goroutine of its handler,
	// "parked" without a goroutine, or "called" in the loop over
	// [Broker.Subscribe].
	Wait string

	// Why is the reason why a stream is held although [Broker.Park] is set. It is
	// empty in all other cases.
	Why string
}

// subscriber is one connected stream, or one subscription by Broker.Subscribe. It has a
// selection of topics, and a cursor: the position up to which it has received events.
// The broker's lock guards its fields, except the fields that never change.
//
//	        ┌──── no more events ───► idle ─┐
//	        │                               │ an event, a heartbeat, an end
//	pull, then write ◄──────────────────────┘
//
// A chain has the events of one topic or pattern, and the subscribers to it.
//
// Invariants: every selected event up to cursor was handed to the transport, is covered
// by a gap, or needs no gap (see acceptsPastLoss). While the subscriber is idle, no
// event in its chains is after cursor, unless wakeDirty is about to wake the subscriber.
type subscriber struct {
	id          uint64
	connectedAt int64           // in nanoseconds since 1970
	info        *subscriberInfo // nil if every attribute is zero
	opts        *deliveryOptions
	oneLink     [1]link // the subscriber's membership in a chain, if it has only one
	manyLinks   *[]link // its memberships, if it has several; otherwise nil
	transport   transport

	cursor         Position
	sentSeq        uint64 // Seq of the position that was last sent to the client, or 0 if unknown
	knownLossSeq   uint64 // the client needs no gap for events up to this sequence
	endCause       error  // reason to end the stream, or nil
	lastActivity   int64  // time of the last events, gap or heartbeat, in nanoseconds since 1970
	wheelSlot      int32  // 1 + the index of the slot in the timer wheel (wheel.go), or 0
	wheelIndex     int32  // index of the subscriber in that slot
	listIndex      int32  // index in state.subscribers
	knownLossCheck uint32 // Position.Check of the event with the sequence knownLossSeq
	peer           peer
	lastComment    uint32 // number of the last comment that was handed to the transport

	gap             *Gap   // gap to send before anything else, or nil
	conflateThrough uint64 // up to this sequence, send only the latest event of each topic
	idle            bool   // has pulled all its events; it may still write the last of them
	caughtUp        bool   // has reached the newest event at least once
	acceptsPastLoss bool   // events that were lost before its first event need no gap
	heartbeatDue    bool   // pull sets batch.heartbeat, unless it has a gap or unfiltered events
	connected       bool   // of a parked stream: OnConnect has returned
}

// deliveryOptions has options of a selection. It never changes, because many
// subscribers may share it.
type deliveryOptions struct {
	lagPolicy   LagPolicy
	lossPolicy  LossPolicy
	maxLag      int64 // in events; math.MaxInt64 if there is no limit
	maxLagBytes int64 // in bytes; likewise
	withTopic   bool
	cursorForm  CursorForm
	filter      func(*Entry) bool
}

// equal reports whether o and p are equal and have no filter. Filters cannot be compared.
func (o *deliveryOptions) equal(p *deliveryOptions) bool {
	return o.filter == nil && p.filter == nil && o.lagPolicy == p.lagPolicy &&
		o.lossPolicy == p.lossPolicy && o.maxLag == p.maxLag &&
		o.maxLagBytes == p.maxLagBytes && o.withTopic == p.withTopic &&
		o.cursorForm == p.cursorForm
}

// newDeliveryOptions returns the options of a selection, with defaults. cursor is
// Broker.Cursor, which applies if Selection.Cursor is empty.
func newDeliveryOptions(sel *Selection, cursor CursorForm) deliveryOptions {
	o := deliveryOptions{
		lagPolicy: sel.Lag, lossPolicy: sel.Loss, withTopic: sel.WithTopic, filter: sel.Filter,
		maxLag:      lagLimit(int64(sel.MaxLag), defaultMaxLag),
		maxLagBytes: lagLimit(sel.MaxLagBytes, defaultMaxLagBytes),
		cursorForm:  cmp.Or(sel.Cursor, cursor, CursorEvent),
	}
	if o.lagPolicy == "" {
		o.lagPolicy = LagDisconnect
	}
	if o.lossPolicy == "" {
		o.lossPolicy = LossRetained
	}
	return o
}

// transport is the way in which a subscriber waits and writes: held, parked or
// called. Its methods do not block. The caller holds the broker's lock, and calls
// none of them once the subscriber has left.
type transport interface {
	wake()                    // the subscriber is no longer idle
	interrupt(cause error)    // end soon, also during a write
	abort()                   // end now
	stalledSince() int64      // last progress of a write, in nanoseconds since 1970, or 0
	kind() (wait, why string) // Subscriber.Wait and Subscriber.Why
}

// batch is the next thing that a subscriber does: write entries, a gap, a comment or
// a heartbeat, read a page of the log, or end. heartbeat may be set beside entries or
// a comment.
type batch struct {
	epoch       uint64
	entries     []*entry
	gap         *Gap
	gapPosition Position
	permit      *pagePermit // of the page that entries are from, or nil
	fetch       bool        // read a page of the log: the entries in (after, through]
	after       Position
	through     Position
	heartbeat   bool     // set with entries if the filter may reject all of them
	cursor      Position // sent instead of the heartbeat or before it, unless zero
	endCause    error
	comment     []byte // in wire format, or nil; set only without entries and gap
	idle        bool   // no more events follow until the subscriber is woken

	passedFilter bool // set by held.write: the filter has accepted an entry

	dropped int // number of events that the lag policy has skipped
}

// release removes the references to the entries. If the subscriber is idle, release also
// removes the slice.
func (b *batch) release() {
	if clear(b.entries); b.idle {
		b.entries = nil
	}
}

func (b *batch) empty() bool {
	return len(b.entries) == 0 && b.gap == nil && !b.heartbeat && b.comment == nil
}

// pull sets b to the next thing that the subscriber does. If b has entries, pull moves
// the cursor past them. Their size is at most limit bytes, unless the first entry alone
// is larger. If the next entries are no longer in the window (the events in memory), b
// asks for a page of the log instead. Then takePage moves the cursor, not pull. Before,
// the caller removes the events that have become too old (see window.expire). held.wake
// need not do so: the subscriber was idle, so its events have just been published.
func (s *subscriber) pull(w *window, c *comments, b *batch, limit int, now time.Time) {
	if b.passedFilter {
		s.lastActivity = now.UnixNano()
	}
	*b = batch{entries: b.entries[:0], epoch: w.epoch}
	if s.endCause != nil {
		b.endCause = s.endCause
		return
	}
	s.checkLag(w, b)
	if s.endCause == nil {
		s.checkLoss(w)
	}
	if s.endCause != nil {
		b.endCause = s.endCause
		return
	}
	if s.cursor.Seq < w.base.Seq {
		b.fetch, b.after, b.through = true, s.cursor, w.base
		return
	}
	s.acceptsPastLoss = false // the first event is in the window, so a later loss needs a gap
	if s.gap == nil && s.takeComment(c, b) {
		return // the next pull takes the events that were published after the comment
	}
	if s.takeFromWindow(w, b, limit) {
		s.caughtUp = true
		if len(b.entries) == 0 {
			s.takeComment(c, b) // takeFromWindow has moved the cursor to the newest event
		}
		s.idle = s.lastComment == c.last
		b.idle = s.idle
	}
	switch {
	case b.gap != nil || len(b.entries) > 0 && s.opts.filter == nil:
		s.lastActivity = now.UnixNano()
	case s.heartbeatDue:
		s.lastActivity = now.UnixNano()
		b.heartbeat = true
		if s.cursor.Seq != s.sentSeq {
			b.cursor, s.sentSeq = s.cursor, s.cursor.Seq
		}
	}
	s.heartbeatDue = false
}

// takeComment sets b.comment to the subscriber's next comment and returns true, if there
// is one and the subscriber has received all events that were published before that
// comment. A comment does not postpone the next heartbeat, because a heartbeat may carry
// the cursor.
func (s *subscriber) takeComment(c *comments, b *batch) bool {
	next, number := c.next(s.lastComment)
	if next == nil || s.cursor.Seq < next.after {
		return false
	}
	b.comment, s.lastComment = next.wire, number
	return true
}

// takeFromWindow sets b to the gap, if there is one, or to the next entries of the
// window. It returns true if the window has no entry for the subscriber after b.
func (s *subscriber) takeFromWindow(w *window, b *batch, limit int) (end bool) {
	chains := s.chains(w)
	if s.gap != nil {
		lost := s.newestLoss(w)
		retained, _ := w.page(b.entries, chains, s.cursor.Seq, lost.seq, 1)
		clear(retained)
		s.takeGap(b, Position{w.epoch, lost.seq, lost.check}, len(retained) > 0)
		return false
	}
	more := true
	for more && len(b.entries) == 0 {
		b.entries, more = w.page(b.entries, chains, s.cursor.Seq, 1<<64-1, limit)
		s.advance(w, b)
	}
	if more {
		return false
	}
	if w.last.Seq > s.cursor.Seq {
		s.cursor = w.last // the subscriber has not selected the events in between
	}
	return true
}

// advance moves the cursor past the entries of b.
func (s *subscriber) advance(w *window, b *batch) {
	n := len(b.entries)
	if n == 0 {
		return
	}
	s.cursor = b.entries[n-1].position(w.epoch)
	s.sentSeq = s.cursor.Seq
	if s.conflateThrough > 0 {
		s.dropSuperseded(b)
		if s.cursor.Seq >= s.conflateThrough {
			s.conflateThrough = 0
		}
	}
	if s.opts.filter != nil || len(b.entries) < n || b.entries[n-1].ownID {
		// The client may not receive the last entry. Or it receives an ID that the
		// application has chosen, and can resume with that ID only while the event
		// is stored. In both cases, the next heartbeat must send the cursor.
		s.sentSeq = 0
	}
}

// takeGap sets b to the gap. lost is the position of the newest lost event: after it, no
// event is missing.
//
// If retained is true, some events between the cursor and lost are still stored, and
// follow the gap. The gap then has the cursor as its ID, so that a client which
// reconnects right after the gap still receives these events. If retained is false,
// the cursor moves to lost, and the gap has the text of lost as its ID.
func (s *subscriber) takeGap(b *batch, lost Position, retained bool) {
	if lost.Seq <= s.cursor.Seq {
		lost = s.cursor
	}
	if !retained {
		s.cursor = lost
	}
	b.gap, b.gapPosition = s.gap, s.cursor
	if b.gap.Available == "" || lost.Seq > s.knownLossSeq {
		b.gap.Available = lost.String()
	}
	s.noteKnownLoss(lost)
	s.gap, s.sentSeq = nil, s.cursor.Seq
}

// noteKnownLoss records that the client needs no further gap for events up to p.
func (s *subscriber) noteKnownLoss(p Position) {
	if p.Seq > s.knownLossSeq {
		s.knownLossSeq, s.knownLossCheck = p.Seq, p.Check
	}
}

// gapStart returns the text of the position after which the next gap begins.
func (s *subscriber) gapStart() string {
	if s.knownLossSeq > s.cursor.Seq {
		return Position{s.cursor.Epoch, s.knownLossSeq, s.knownLossCheck}.String()
	}
	return s.cursor.String()
}

// newestLoss returns the position and the time of the newest event that the window has
// lost and that the subscriber has, or may have, selected.
func (s *subscriber) newestLoss(w *window) lossMark {
	var newest lossMark
	for i := range s.links() {
		l := &s.links()[i]
		if newest.raise(l.lost); l.topic == nil {
			newest.raise(w.lossFloor)
		}
	}
	return newest
}

// checkLoss sets the gap if an event after the cursor is lost, unless the client needs
// no gap for that event.
func (s *subscriber) checkLoss(w *window) {
	lost := s.newestLoss(w)
	if s.acceptsPastLoss {
		s.acceptsPastLoss = s.cursor.Seq < w.base.Seq // the log may report further losses
		s.noteKnownLoss(Position{w.epoch, lost.seq, lost.check})
	}
	if lost.seq > max(s.knownLossSeq, s.cursor.Seq) {
		s.noteGap(w, GapTrimmed)
	}
}

// noteGap sets the gap, unless there is one already, and applies the loss policy.
func (s *subscriber) noteGap(w *window, why GapReason) {
	if s.gap == nil {
		s.gap = &Gap{Asked: s.gapStart(), Why: why}
	}
	s.applyLossPolicy(w)
}

// applyLossPolicy applies the LossPolicy of a subscriber that misses an event: LossNew
// moves the cursor to the newest event, and LossRefuse ends the stream.
func (s *subscriber) applyLossPolicy(w *window) {
	switch s.opts.lossPolicy {
	case LossNew:
		if s.cursor.Seq < w.last.Seq {
			s.cursor = w.last
		}
	case LossRefuse:
		s.endCause = ErrLagging
	}
}

// takePage sets b to the content of a page that was read from the log for b. It does the
// same as pull does for the window. entries are the entries of the page, encoded.
func (s *subscriber) takePage(w *window, page *Page, entries []*entry, b *batch, now time.Time) {
	through := b.through
	*b = batch{entries: b.entries[:0], epoch: w.epoch}
	lost := page.Lost
	if lost.Seq > through.Seq {
		lost = through // a later page, or the window, reports a loss after through
	}
	if s.acceptsPastLoss {
		s.acceptsPastLoss = false
		s.noteKnownLoss(lost)
	}
	if lost.Seq > max(s.knownLossSeq, s.cursor.Seq) {
		s.noteGap(w, GapTrimmed)
	}
	if s.endCause != nil {
		b.endCause = s.endCause
		return
	}
	if s.gap != nil {
		retained := len(entries) > 0 && entries[0].seq <= lost.Seq
		s.takeGap(b, lost, retained)
		s.lastActivity = now.UnixNano()
		return
	}
	if b.entries = append(b.entries, entries...); len(entries) == 0 {
		s.cursor = through
		return
	}
	s.advance(w, b)
	if s.opts.filter == nil {
		s.lastActivity = now.UnixNano()
	}
}

// describe returns the public description of the subscriber.
func (s *subscriber) describe(w *window, now time.Time) Subscriber {
	w.expire(now)
	d := Subscriber{
		ID: s.id, Key: s.key(), Remote: s.remote(), Since: time.Unix(0, s.connectedAt),
		Position: s.cursor,
	}
	sel := s.selection()
	d.Topics, d.Patterns = sel.Topics, sel.Patterns
	d.Lag, d.LagBytes = s.lag(s.cursor.Seq)
	d.Wait, d.Why = s.transport.kind()
	return d
}

// resumePoint is the part of a subscriber that pull changes and that must be restored if
// the batch is not written.
type resumePoint struct {
	cursor          Position
	conflateThrough uint64
	caughtUp        bool
}

func (s *subscriber) resumePoint() resumePoint {
	return resumePoint{s.cursor, s.conflateThrough, s.caughtUp}
}

func (s *subscriber) restore(p resumePoint) {
	s.cursor, s.conflateThrough, s.caughtUp = p.cursor, p.conflateThrough, p.caughtUp
}

// setInfo sets the subscriber's rarely set attributes.
func (s *subscriber) setInfo(info subscriberInfo) {
	if p, ok := parsePeer(info.remote); ok {
		s.peer, info.remote = p, ""
	}
	if info != (subscriberInfo{}) {
		s.info = &info
	}
}

func (s *subscriber) key() string {
	if s.info == nil {
		return ""
	}
	return s.info.key
}

// remote returns the network address of the peer.
func (s *subscriber) remote() string {
	if s.info != nil && s.info.remote != "" {
		return s.info.remote
	}
	return s.peer.String()
}

// expires returns the time limit of the stream in nanoseconds since 1970, or 0
// if there is none.
func (s *subscriber) expires() int64 {
	if s.info == nil {
		return 0
	}
	return s.info.expires
}

// expired reports whether the time limit of the stream is over.
func (s *subscriber) expired(now time.Time) bool {
	expires := s.expires()
	return expires != 0 && now.UnixNano() >= expires
}
