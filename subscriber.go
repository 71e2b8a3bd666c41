package sse

import "time"

const (
	defaultMaxLag      = 4 << 10
	defaultMaxLagBytes = 16 << 20

	// batchSize is how many bytes of events are written at once, unless one event
	// alone has more.
	batchSize = 64 << 10

	// heldBatch is the same for a stream that is held. It has them in memory until
	// its peer has taken them, which may be never.
	heldBatch = 16 << 10
)

// Subscriber describes a subscriber of a [Broker].
type Subscriber struct {
	// ID is the subscriber's number in this broker, from 1.
	ID uint64

	// Key is that of its [Selection].
	Key string

	// Remote is the network address of the peer; empty for [Broker.Subscribe].
	Remote string

	// Since is when it subscribed.
	Since time.Time

	// Topics and Patterns are those of its Selection.
	Topics   []string
	Patterns []Pattern

	// Position is up to where it was given everything.
	Position Position

	// Lag and LagBytes are how many events, and bytes of them, it was not yet
	// given. An event counts once for each of its topics that is selected. What
	// is not in the broker's memory does not count.
	Lag      int
	LagBytes int64

	// Wait is how the stream waits: "held" in the goroutine of its handler,
	// "parked" without one, or "called" by whoever uses Broker.Subscribe.
	Wait string

	// Why says why a stream is held although the broker parks.
	Why string
}

// subscriber is one connected stream: what it wants, and a cursor into the log.
// Its fields are guarded by the lock of its broker, but for those that never
// change.
//
//	        ┌───── nothing more ────► idle ─┐
//	        │                               │ an event, a heartbeat, an end
//	pull, then write ◄──────────────────────┘
//
// Invariants: everything of the selection up to cursor was given to the
// connection, or is covered by a gap. While it is idle, it is at the end of all
// its chains.
type subscriber struct {
	id    uint64
	since int64
	about *about // or nil
	terms *terms
	one   [1]link // its membership, if it is only one
	many  *[]link // or all of them
	wait  transport

	cursor Position
	sent   uint64 // the sequence in the last id that was sent
	told   uint64 // losses up to this sequence are known to it
	end    error  // why it is to end, or nil
	active int64  // when something was written last
	slot   int32  // in the wheel, or -1
	slotAt int32  // its index there
	listed int32  // its index in the list of all
	check  uint32 // of told
	peer   peer

	gap       *Gap   // to be told, before all else
	conflate  uint64 // up to this sequence only the latest of each topic counts
	idle      bool   // has nothing more to do than what it was given, until it is woken
	live      bool   // has once been at the end
	accepting bool   // does not want to hear what was lost before it came
	beat      bool   // is to send a heartbeat
	begun     bool   // its handler has said so to the hooks
}

// links are its memberships in chains; none, if it has left.
func (s *subscriber) links() []link {
	switch {
	case s.many != nil:
		return *s.many
	case s.one[0].chain == nil:
		return nil
	}
	return s.one[:]
}

// link is a subscriber's membership in a chain.
type link struct {
	*chain
	index int // in chain.members
}

// terms are what many subscribers have in common.
type terms struct {
	lag         LagPolicy
	loss        LossPolicy
	maxLag      int
	maxLagBytes int64
	withTopic   bool
	filter      func(*Entry) bool
}

// termsOf returns the terms of a selection. Those of the last subscriber serve, if
// they are the same.
func (c *core) termsOf(sel *Selection) *terms {
	t := newTerms(sel)
	if t.filter == nil {
		if last := c.terms.Load(); last != nil && last.equal(&t) {
			return last
		}
		c.terms.Store(&t)
	}
	return &t
}

// equal compares terms without a filter.
func (t *terms) equal(u *terms) bool {
	return t.filter == nil && u.filter == nil && t.lag == u.lag && t.loss == u.loss &&
		t.maxLag == u.maxLag && t.maxLagBytes == u.maxLagBytes && t.withTopic == u.withTopic
}

func newTerms(sel *Selection) terms {
	t := terms{
		lag: sel.Lag, loss: sel.Loss, withTopic: sel.WithTopic, filter: sel.Filter,
		maxLag: sel.MaxLag, maxLagBytes: sel.MaxLagBytes,
	}
	if t.lag == "" {
		t.lag = LagDisconnect
	}
	if t.loss == "" {
		t.loss = lossRetained
	}
	if t.maxLag == 0 {
		t.maxLag = defaultMaxLag
	}
	if t.maxLagBytes == 0 {
		t.maxLagBytes = defaultMaxLagBytes
	}
	return t
}

// transport is how a subscriber waits. Its methods do not block; all are called
// with the lock of the broker held, and not once the subscriber has left.
type transport interface {
	wake()                 // there is something to do
	interrupt(cause error) // it is to end soon, although it may be writing
	cut()                  // it is to end now
	overdue() int64        // since when it has taken nothing of what it is given, or 0
	kind() (wait, why string)
}

// batch is what a subscriber is to write next. At most one of its parts is set,
// but for beat.
type batch struct {
	epoch   uint64
	entries []*entry
	gap     *Gap
	gapAt   Position
	seat    *seat // of entries that were fetched, or nil
	fetch   bool  // from the log: what follows has left the window
	after   Position
	through Position
	beat    bool     // also with entries, in case the filter lets none through
	cursor  Position // with beat: what the client does not know yet, or zero
	end     error
	idle    bool // after this there is nothing more, until it is woken

	filtered bool // set by who writes: the filter has let some of the entries through

	dropped int // events that will not come, as told by the hooks
}

// pull decides what the subscriber is to do next, and moves its cursor past it.
func (s *subscriber) pull(w *window, b *batch, limit int, now time.Time) {
	if b.filtered {
		s.active = now.UnixNano()
	}
	*b = batch{entries: b.entries[:0], epoch: w.epoch}
	if s.end != nil {
		b.end = s.end
		return
	}
	s.checkLag(w, b)
	if s.end == nil {
		s.checkLoss(w)
	}
	if s.end != nil {
		b.end = s.end
		return
	}
	if s.cursor.Seq < w.base.Seq {
		b.fetch, b.after, b.through = true, s.cursor, w.base
		return
	}
	s.accepting = false // from here on the window has everything
	if s.take(w, b, limit) {
		s.live, s.idle = true, true
		b.idle = true
	}
	switch {
	case b.gap != nil || len(b.entries) > 0 && s.terms.filter == nil:
		s.active = now.UnixNano()
	case s.beat:
		s.active = now.UnixNano()
		b.beat = true
		if s.cursor.Seq != s.sent {
			b.cursor, s.sent = s.cursor, s.cursor.Seq
		}
	}
	s.beat = false
}

// take takes entries out of the window, or the gap if it comes before them. It
// reports whether there is nothing more.
func (s *subscriber) take(w *window, b *batch, limit int) (end bool) {
	chains := s.chains(w)
	if s.gap != nil {
		lost := s.lost(w)
		kept, _ := w.page(b.entries, chains, s.cursor.Seq, lost.seq, 1)
		clear(kept)
		s.tellGap(b, Position{w.epoch, lost.seq, lost.check}, len(kept) > 0)
		return false
	}
	more := true
	for more && len(b.entries) == 0 {
		b.entries, more = w.page(b.entries, chains, s.cursor.Seq, 1<<64-1, limit)
		s.took(w, b)
	}
	if more {
		return false
	}
	if w.last.Seq > s.cursor.Seq {
		s.cursor = w.last // which is past all that it has not selected
	}
	return true
}

// took moves the cursor past the entries of the batch.
func (s *subscriber) took(w *window, b *batch) {
	n := len(b.entries)
	if n == 0 {
		return
	}
	s.cursor = b.entries[n-1].position(w.epoch)
	s.sent = s.cursor.Seq
	if s.conflate > 0 {
		s.dropSuperseded(b)
		if s.cursor.Seq >= s.conflate {
			s.conflate = 0
		}
	}
	if s.terms.filter != nil || len(b.entries) < n || b.entries[n-1].ownID {
		// Perhaps the last one does not go out, and its id with it; and an id of the
		// application's is good only for as long as the event is kept.
		s.sent = 0
	}
}

// tellGap makes the gap what comes next. Nothing is missing after lost, nor after
// the cursor. What is kept of the events before that comes after the gap, which
// then does not move the cursor: or else they, or the gap, would be lost with a
// connection that ends between them.
func (s *subscriber) tellGap(b *batch, lost Position, kept bool) {
	if lost.Seq <= s.cursor.Seq {
		lost = s.cursor
	}
	if !kept {
		s.cursor = lost
	}
	b.gap, b.gapAt = s.gap, s.cursor
	if b.gap.Available == "" || lost.Seq > s.told {
		b.gap.Available = lost.String()
	}
	s.know(lost)
	s.gap, s.sent = nil, s.cursor.Seq
}

// know notes that losses up to a position are known to the subscriber.
func (s *subscriber) know(p Position) {
	if p.Seq > s.told {
		s.told, s.check = p.Seq, p.Check
	}
}

// asked is the position after which the next gap begins.
func (s *subscriber) asked() string {
	if s.told > s.cursor.Seq {
		return Position{s.cursor.Epoch, s.told, s.check}.String()
	}
	return s.cursor.String()
}

// lost is the newest place at which the window has lost something that the
// subscriber has selected.
func (s *subscriber) lost(w *window) mark {
	newest := w.floor
	for i := range s.links() {
		newest.raise(s.links()[i].mark)
	}
	return newest
}

// checkLoss finds out whether something after the cursor is gone.
func (s *subscriber) checkLoss(w *window) {
	lost := s.lost(w)
	if s.accepting {
		s.accepting = s.cursor.Seq < w.base.Seq // then the log tells more
		s.know(Position{w.epoch, lost.seq, lost.check})
	}
	if lost.seq > max(s.told, s.cursor.Seq) {
		s.miss(w, "trimmed")
	}
}

// miss notes that something after the cursor is missing, and applies the policy.
func (s *subscriber) miss(w *window, why string) {
	if s.gap == nil {
		s.gap = &Gap{Asked: s.asked(), Why: why}
	}
	s.applyLoss(w)
}

func (s *subscriber) applyLoss(w *window) {
	switch s.terms.loss {
	case LossNew:
		if s.cursor.Seq < w.last.Seq {
			s.cursor = w.last
		}
	case LossRefuse:
		s.end = ErrLagging
	}
}

// settle is pull for what was fetched from the log. The entries are those of the
// page, in the window's form.
func (s *subscriber) settle(w *window, page *Page, entries []*entry, b *batch, now time.Time) {
	through := b.through
	*b = batch{entries: b.entries[:0], epoch: w.epoch}
	lost := page.Lost
	if lost.Seq > through.Seq {
		lost = through // the window has all that comes after it
	}
	if s.accepting {
		s.accepting = false
		s.know(lost)
	}
	if lost.Seq > max(s.told, s.cursor.Seq) {
		s.miss(w, "trimmed")
	}
	if s.end != nil {
		b.end = s.end
		return
	}
	if s.gap != nil {
		kept := len(entries) > 0 && entries[0].seq <= lost.Seq
		s.tellGap(b, lost, kept)
		s.active = now.UnixNano()
		return
	}
	if b.entries = append(b.entries, entries...); len(entries) == 0 {
		s.cursor = through
		return
	}
	s.took(w, b)
	if s.terms.filter == nil {
		s.active = now.UnixNano()
	}
}

// selects reports whether the subscriber has selected a topic. It may be called
// without the lock.
func (s *subscriber) selects(t *topic) bool {
	for i := range s.links() {
		l := &s.links()[i]
		if l.topic == t || l.topic == nil && l.pattern.Match(t.name) {
			return true
		}
	}
	return false
}

// topicOf is the first of an entry's topics that the subscriber has selected.
func (s *subscriber) topicOf(e *entry) string {
	for _, t := range e.topics {
		if s.selects(t) {
			return t.name
		}
	}
	return defaultTopic
}

// chains are those of the links. The slice is reused.
func (s *subscriber) chains(w *window) []*chain {
	chains := w.chains[:0]
	for i := range s.links() {
		chains = append(chains, s.links()[i].chain)
	}
	w.chains = chains
	return chains
}

// selection is what was selected, for a log.
func (s *subscriber) selection() Selection {
	var sel Selection
	for i := range s.links() {
		switch l := &s.links()[i]; {
		case l.topic == nil:
			sel.Patterns = append(sel.Patterns, l.pattern)
		case l.topic.name != defaultTopic:
			sel.Topics = append(sel.Topics, l.topic.name)
		}
	}
	return sel
}

// describe is the description for hooks and lists.
func (s *subscriber) describe() Subscriber {
	d := Subscriber{
		ID: s.id, Key: s.key(), Remote: s.remote(), Since: time.Unix(0, s.since),
		Position: s.cursor,
	}
	sel := s.selection()
	d.Topics, d.Patterns = sel.Topics, sel.Patterns
	d.Lag, d.LagBytes = s.lag(s.cursor.Seq)
	d.Wait, d.Why = s.wait.kind()
	return d
}

// join links the subscriber to the chains of its selection.
func (s *subscriber) join(w *window, topics []string, patterns []Pattern) {
	if n := len(topics) + len(patterns); n > 1 {
		many := make([]link, 0, n)
		s.many = &many
	}
	for _, name := range topics {
		s.linkTo(link{chain: &w.topic(name).chain})
	}
	for _, p := range patterns {
		s.linkTo(link{chain: w.patternChain(p, s.cursor.Seq)})
	}
}

func (s *subscriber) linkTo(l link) {
	// Who is in the chain already has just come: nobody else did meanwhile.
	if n := len(l.members); n > 0 && l.members[n-1].subscriber == s {
		return
	}
	if s.many == nil {
		s.one[0] = l
	} else {
		*s.many = append(*s.many, l)
	}
	l.add(s, len(s.links())-1)
}

// leave undoes join.
func (s *subscriber) leave(w *window) {
	for i := range s.links() {
		l := &s.links()[i]
		l.remove(s, i)
		switch {
		case l.topic != nil:
			w.vacate(l.topic)
		case len(l.members) == 0:
			w.dropPattern(l.chain)
		}
	}
	s.one[0], s.many = link{}, nil
}
