package property

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// item is one entry of a subject's record: an action of the subject, or something
// that it has received.
type item struct {
	kind  itemKind
	group int
	time  time.Time
	life  int       // of an attempt: index of the life of the broker that received the request
	from  uint64    // of an attempt: newest sequence of that life when the attempt was recorded
	asked string    // of an attempt: the ID in the request; empty if the request has none
	fresh bool      // of an attempt: the subject cannot have an ID from an earlier cursor
	event sse.Event // of an event or a gap
}

type itemKind string

const (
	itemAttempt itemKind = "attempt" // the subject has asked for a stream
	itemOpen    itemKind = "open"    // the subject's stream has begun (only clients)
	itemEvent   itemKind = "event"   // the subject has received an event
	itemGap     itemKind = "gap"     // the subject has received a gap
	itemRefused itemKind = "refused" // LossRefuse has ended the stream because events were lost
	itemSync    itemKind = "sync"    // the world has settled while the subject was reading
)

func (it *item) String() string {
	text := fmt.Sprintf("group %d %s", it.group, it.kind)
	switch it.kind {
	case itemAttempt:
		text += fmt.Sprintf(" %q in life %d", it.asked, it.life)
	case itemEvent, itemGap:
		data, _, _ := strings.Cut(it.event.Data, " ")
		text += fmt.Sprintf(" %s %s", it.event.ID, data)
	}
	return text
}

// checker checks the items of a subject one by one against the model.
//
// The checker often does not know exactly where a stream began, because events
// were published in the same group. It then knows only a range: the stream began after
// a sequence that is at least minPos and at most pos. An event after minPos and up to
// pos may arrive, but need not. After the first event, minPos and pos are equal.
//
// Each field of type uint64 is a sequence. "Up to here" includes the event with
// that sequence.
//
// Invariant: minPos ≤ pos.
type checker struct {
	w       *world
	s       *subject
	start   sse.Start
	ago     time.Duration
	life    *life // the life of pos and of the other sequences; nil while it is unknown
	attempt *item // the attempt that began the current stream
	it      *item // the item that is being checked

	pos    uint64 // selected events up to here have arrived or need not arrive
	minPos uint64 // selected events up to here must not arrive (again)
	least  uint64 // sequence in the ID of the last event or gap; 0 if unknown
	synced uint64 // up to here, checkSync has found no event missing from this stream
	gapEnd uint64 // gaps of this stream cover missing events up to here
	oldEnd uint64 // gaps of earlier streams cover missing events up to here

	whys       []sse.GapReason // possible reasons to reject the ID; "" if it may be valid
	opening    bool            // no event or gap has arrived on this stream
	forgive    bool            // events that were lost before the stream began need no gap
	accepted   uint64          // if forgive is true, the newest event that was lost before
	latest     uint64          // up to here, LagLatest may have left out superseded events
	skipped    uint64          // up to here, LagSkip may have left out events
	wantNewest bool            // LagSkip has left out events, so the newest event must arrive
	onlyNew    uint64          // up to here, LossNew may have left out events
	seen       bool            // an event or a gap has arrived on any stream
	placed     bool            // the subject has an ID from a cursor
}

// check checks the items one by one. If an item is wrong, check returns an error
// that contains the items before it, and does not check the items after it.
func (c *checker) check(items []item) (err error) {
	for i := range items {
		if c.it = &items[i]; c.opening && c.w.log != nil {
			c.accept(c.it) // the log may lose more events until the broker reads it
		}
		switch c.it.kind {
		case itemAttempt:
			err = c.checkAttempt()
		case itemOpen:
			c.beginLate()
		case itemEvent:
			err = c.checkEvent(c.it.event)
		case itemGap:
			err = c.checkGap(c.it.event)
		case itemRefused:
			err = c.checkRefusal()
		case itemSync:
			err = c.checkSync()
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, c.context(items, i))
		}
	}
	return nil
}

// context describes the subject and up to 30 items before item i for an error.
func (c *checker) context(items []item, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "subscriber %s\nat position %d, gaps up to %d; its last items:\n",
		c.s, c.pos, c.gapEnd)
	for j := max(0, i-30); j <= i; j++ {
		if items[j].kind != itemSync || j == i {
			fmt.Fprintf(&b, "\t%s\n", items[j].String())
		}
	}
	return b.String()
}

// checkAttempt checks the ID of a request, and sets the position at which its
// stream begins.
func (c *checker) checkAttempt() error {
	it := c.it
	now := c.w.lives[it.life]
	c.whys = nil
	c.placed = c.placed && !it.fresh
	if it.asked != "" {
		err := c.resume(now)
		c.open()
		return err
	}
	if c.seen || c.placed {
		return fmt.Errorf("the request has no id, although the subscriber had one")
	}
	c.enter(now)
	c.open()
	c.begin()
	return nil
}

// open resets the fields that describe the previous stream.
func (c *checker) open() {
	c.attempt = c.it
	c.oldEnd, c.gapEnd = max(c.oldEnd, c.gapEnd), 0
	c.forgive, c.accepted = false, 0
	c.latest, c.skipped, c.onlyNew, c.synced = 0, 0, 0, 0
	c.wantNewest, c.opening = false, true
}

// beginLate sets the position of a stream again when it begins, if its request has
// no ID: events may have been published since the attempt.
func (c *checker) beginLate() {
	if c.attempt.asked == "" && c.opening && c.life == c.w.lives[c.attempt.life] {
		c.begin()
	}
}

// accept sets accepted to the newest event that may have been lost by the time of
// an item. The broker may record only the newest loss, so older losses need no gap
// either.
func (c *checker) accept(by *item) {
	if !c.forgive {
		return
	}
	for seq := c.life.last(by.group); seq > c.accepted; seq-- {
		if e := c.life.at(seq); c.selected(e) && c.life.mayBeLost(e, by.group, by.time) {
			c.accepted = seq
		}
	}
}

// resume sets the position of a stream whose request has an ID.
func (c *checker) resume(now *life) error {
	if p, err := sse.ParsePosition(c.it.asked); err == nil {
		return c.resumeAt(now, p)
	}
	c.resumeOwn(now)
	return nil
}

// enter makes l the life of the checker's sequences. If the life changes, enter
// resets them, because they belong to the previous life.
func (c *checker) enter(l *life) {
	if c.life != l {
		c.life = l
		c.pos, c.minPos, c.least, c.gapEnd, c.oldEnd = 0, 0, 0, 0, 0
	}
}

// begin sets the position of a stream whose request has no ID.
func (c *checker) begin() {
	l, start := c.life, &c.start
	through := l.last(c.it.group)
	switch {
	case start.Earliest:
		c.forgive = true
		c.minPos, c.pos = 0, 0
	case start.Last > 0:
		c.forgive = true
		c.minPos = c.lastN(start.Last, c.attempt.from, false)
		c.pos = c.lastN(start.Last, through, true)
		c.minPos = min(c.minPos, c.pos)
	case !start.Time.IsZero() || c.ago > 0:
		from := c.since(c.it)
		c.minPos, c.pos = 0, 0
		for seq := uint64(1); seq <= through; seq++ {
			if e := l.at(seq); e.time.Before(from) && c.selected(e) {
				c.pos = seq
			}
		}
	default:
		c.minPos, c.pos = c.attempt.from, through
	}
	c.accept(c.it)
}

// since returns the time from which a request at the time of it asks for events.
func (c *checker) since(it *item) time.Time {
	if c.ago > 0 {
		return it.time.Add(-c.ago)
	}
	return c.start.Time
}

// lastN returns a sequence after which n selected events up to through follow, or
// 0 if there are fewer. If unsure is false, it does not count events that may be
// lost. If unsure is true, it also counts events that may be lost, but that the
// broker may still have had at the attempt. So the broker's last n events begin
// between lastN with false and lastN with true.
func (c *checker) lastN(n int, through uint64, unsure bool) uint64 {
	for seq := through; seq > 0; seq-- {
		e := c.life.at(seq)
		lost := c.life.mayBeLost(e, c.it.group, c.it.time)
		gone := e.lost < c.attempt.group && c.life.keep.exact()
		if !c.selected(e) || lost && (!unsure || gone) {
			continue
		}
		if n == 0 {
			return seq
		}
		n--
	}
	return 0
}

// selected reports whether the subject's selection selects a topic of an event. It
// ignores the filter, because gaps do so too.
func (c *checker) selected(e *published) bool {
	_, ok := topicOf(&c.s.sel, e)
	return ok
}

// resumeAt sets the position of a stream whose request has the ID of a position. If
// p is not valid in the life now, resumeAt sets whys instead.
func (c *checker) resumeAt(now *life, p sse.Position) error {
	l := c.w.lifeOf(p.Epoch)
	e := now.at(p.Seq)
	switch {
	case l != now:
		c.whys = []sse.GapReason{sse.GapEpoch}
		return nil
	case p.Seq > now.last(c.it.group):
		c.whys = []sse.GapReason{sse.GapFuture}
		return nil
	case e != nil && e.at != p && !now.mayBeLost(e, c.it.group, c.it.time):
		c.whys = []sse.GapReason{sse.GapCheck}
		return nil
	case e != nil && e.at != p:
		c.whys = []sse.GapReason{sse.GapCheck, ""}
		return nil
	case c.life != nil && c.life != now && c.seen:
		return fmt.Errorf("the request has a position of another life, and no gap came before")
	}
	c.enter(now)
	if c.seen && p.Seq < c.least {
		return fmt.Errorf("the request is for events up to %d, which the subscriber has", c.least)
	}
	if c.seen || c.placed {
		if err := c.skip(p.Seq); err != nil {
			return err
		}
	}
	c.pos, c.minPos = p.Seq, p.Seq
	return nil
}

// resumeOwn sets the position of a stream whose request has an ID that the
// application chose. Several events may have this ID. The broker begins after the
// first of these events that it still has: one of the events first to last.
// resumeOwn sets whys if the broker may have none of them.
func (c *checker) resumeOwn(now *life) {
	c.whys = []sse.GapReason{sse.GapUnknown}
	first, last := uint64(0), uint64(0)
	for seq := uint64(1); seq <= now.last(c.it.group); seq++ {
		e := now.at(seq)
		if e.event.ID != c.it.asked || !c.selected(e) || e.lost < c.it.group {
			continue
		}
		if first == 0 {
			first = seq
		}
		last = seq
		if seq <= c.it.from && !now.mayBeLost(e, c.it.group, c.it.time) {
			c.whys = nil
			break
		}
	}
	if first == 0 {
		return
	}
	if c.whys != nil { // the broker may or may not have an event with the ID
		c.whys = append(c.whys, "")
	}
	c.enter(now)
	c.minPos, c.pos = first, last
	c.least = 0 // the first event with the ID may be older than the last event received
}

// checkEvent checks that an event is selected, that it may arrive now, and that no
// event before it is missing without a gap.
func (c *checker) checkEvent(event sse.Event) error {
	e, err := c.w.identify(event)
	if err != nil {
		return err
	}
	if err := c.checkContent(e, event); err != nil {
		return err
	}
	if c.whys != nil && !slices.Contains(c.whys, "") {
		return fmt.Errorf("no gap for %v came before the event", c.whys)
	}
	if c.whys != nil {
		c.enter(c.w.lives[c.attempt.life]) // the broker has accepted the ID
		if p, err := sse.ParsePosition(c.attempt.asked); err == nil {
			c.pos, c.minPos = p.Seq, p.Seq
		}
		c.whys = nil
	}
	seq := e.at.Seq
	switch {
	case c.life == nil || c.life != c.w.lives[e.life]:
		return fmt.Errorf("an event of another life without a gap before it")
	case e.lost < c.attempt.group && c.life.keep.exact():
		return fmt.Errorf("an event that was removed before the stream began: %d", seq)
	case seq <= c.minPos:
		return fmt.Errorf("an event twice, or out of order: %d after %d", seq, c.pos)
	case c.w.log == nil && seq <= c.latest && c.superseded(e, c.latest, true):
		return fmt.Errorf("an event that is not the latest of its topic, up to %d", c.latest)
	case c.attempt.asked == "" && seq <= c.life.last(c.attempt.group) &&
		(!c.start.Time.IsZero() || c.ago > 0) && e.time.Before(c.since(c.attempt)):
		return fmt.Errorf("an event from before the time that the request names")
	}
	if err := c.skip(seq - 1); err != nil {
		return err
	}
	c.pos, c.minPos, c.least = seq, seq, seq
	c.seen, c.opening, c.wantNewest = true, false, false
	return nil
}

// checkContent checks that an event is selected and is as it was published.
func (c *checker) checkContent(e *published, got sse.Event) error {
	want := e.event
	if want.ID == "" {
		want.ID = e.at.String()
	}
	topic, ok := topicOf(&c.s.sel, e)
	if !ok || !c.s.passes(e) {
		return fmt.Errorf("an event that is not selected, on %q", e.topics)
	}
	want.LastEventID = want.ID // every event of a broker has an ID
	want.Topic, want.Retry = "", 0
	if c.s.sel.WithTopic {
		want.Topic = topic
	}
	got.Retry = 0
	if got != want {
		return fmt.Errorf("got the event %+v, want %+v", got, want)
	}
	return nil
}

// skip checks that each selected event after pos up to through may be missing.
func (c *checker) skip(through uint64) error {
	for seq := max(c.pos, c.synced) + 1; seq <= through; seq++ {
		e := c.life.at(seq)
		if c.selected(e) && c.s.passes(e) {
			if err := c.checkMissing(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMissing checks that there is a reason why an event did not arrive. It also checks
// that a gap covers the event, unless the event needs no gap (see forgive).
func (c *checker) checkMissing(e *published) error {
	seq := e.at.Seq
	lost := c.life.mayBeLost(e, c.it.group, c.it.time)
	switch {
	case lost && seq <= c.accepted:
		return nil
	case seq > max(c.gapEnd, c.oldEnd):
		return fmt.Errorf("event %d is missing, and no gap covers it (removed: %v)", seq, lost)
	case lost, seq <= c.onlyNew, seq <= c.skipped,
		seq <= c.latest && c.superseded(e, c.life.last(c.it.group), false):
		return nil
	}
	return fmt.Errorf("event %d is missing although it is stored; gaps up to %d", seq, c.gapEnd)
}

// superseded reports whether each selected topic of e has a newer event up to
// through. If sure is true, an event that may have been removed does not count.
func (c *checker) superseded(e *published, through uint64, sure bool) bool {
	for _, topic := range e.topics {
		if selects(&c.s.sel, topic) && !c.newer(e, topic, through, sure) {
			return false
		}
	}
	return true
}

// newer reports whether the topic has an event after e and up to through.
func (c *checker) newer(e *published, topic string, through uint64, sure bool) bool {
	for seq := e.at.Seq + 1; seq <= through; seq++ {
		other := c.life.at(seq)
		if slices.Contains(other.topics, topic) &&
			!(sure && c.life.mayBeLost(other, c.it.group, c.it.time)) {
			return true
		}
	}
	return false
}

// checkSync checks that the subscriber has received every selected event, or a gap.
func (c *checker) checkSync() error {
	switch {
	case slices.Contains(c.whys, ""):
		return nil
	case c.whys != nil:
		return fmt.Errorf("no gap for %v has come", c.whys)
	case c.life == nil:
		return nil // the subscriber was refused and has not asked for a stream since
	}
	if c.life != c.w.lives[c.attempt.life] {
		return fmt.Errorf("the subscriber is in another life than its broker")
	}
	through := c.life.last(c.it.group)
	if c.w.log != nil {
		// The log may remove an event before the broker's Follow reaches it. Such an
		// event wakes no subscriber, and its gap is sent before the next event.
		for seq := max(c.pos, c.synced) + 1; seq <= through; seq++ {
			if c.lostAt(seq) {
				through = seq - 1
			}
		}
	}
	if err := c.skip(through); err != nil {
		return err
	}
	if c.wantNewest && c.skippedAll() {
		return fmt.Errorf("all events up to %d were skipped, including the newest", c.skipped)
	}
	c.synced = max(c.synced, through)
	c.placed = c.w.cursor != sse.CursorOff
	return nil
}

// skippedAll reports whether LagSkip has left out even the newest selected event,
// although this event is still stored.
func (c *checker) skippedAll() bool {
	for seq := c.life.last(c.it.group); seq > 0; seq-- {
		if c.selected(c.life.at(seq)) {
			return seq <= c.skipped && !c.lostAt(seq)
		}
	}
	return false
}

// identify returns the published event whose number is at the start of event.Data.
func (w *world) identify(event sse.Event) (*published, error) {
	token, _, _ := strings.Cut(event.Data, " ")
	n, err := strconv.Atoi(token)
	if err != nil || n < 0 || n >= len(w.published) || w.published[n] == nil {
		return nil, fmt.Errorf("an event that was never published: %.100q", event.Data)
	}
	return w.published[n], nil
}
