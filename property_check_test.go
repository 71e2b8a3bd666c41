package sse_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// item is something that a subscriber has seen or done.
type item struct {
	kind  itemKind
	group int
	time  time.Time
	life  int       // attempt: of the broker that it has reached
	from  uint64    // attempt: the sequence that was published before it for sure
	asked string    // attempt: the id
	fresh bool      // attempt: no cursor is known any more
	event sse.Event // event, gap
}

type itemKind string

const (
	itemAttempt itemKind = "attempt" // it asks for a stream
	itemOpen    itemKind = "open"    // its stream has begun; a client's only
	itemEvent   itemKind = "event"
	itemGap     itemKind = "gap"
	itemRefused itemKind = "refused" // what it asked for is gone
	itemSync    itemKind = "sync"    // nothing is under way to it: it has everything
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

// checker goes through what a subscriber has seen, and knows what it should have.
type checker struct {
	w       *world
	s       *subject
	start   sse.Start
	ago     time.Duration
	life    *life // nil as long as the subscriber has no place
	attempt *item // the stream that is open
	it      *item

	pos    uint64 // everything of the selection up to here was seen or accounted for
	opt    uint64 // ≤ pos: after this it may have begun as well
	least  uint64 // the sequence in the last id that was seen
	synced uint64 // up to here it was checked that nothing is missing
	told   uint64 // gaps cover what is missing up to here
	older  uint64 // likewise, but in a stream before this one

	whys       []string // a gap for one of these is due first; "" if perhaps none is
	opening    bool     // nothing has come on this stream
	forgive    bool     // what was lost before the stream began needs no gap
	accepted   uint64   // nor does what is lost up to here, the newest of those
	latest     uint64   // up to here only the latest of each topic counts
	skipped    uint64   // up to here LagSkip may have left out events
	wantNewest bool     // it has skipped, and was to get the newest event
	onlyNew    uint64   // up to here LossNew may have
	seen       bool     // there was an event or a gap
	placed     bool     // or a sync while cursors are sent: it has an id
}

// check goes through all items. The error says what is wrong with the last that
// was looked at.
func (c *checker) check(items []item) (err error) {
	for i := range items {
		if c.it = &items[i]; c.opening && c.w.log != nil {
			c.accept(c.it) // a log is asked when the first bytes are out
		}
		switch c.it.kind {
		case itemAttempt:
			err = c.attempted()
		case itemOpen:
			c.began()
		case itemEvent:
			err = c.got(c.it.event)
		case itemGap:
			err = c.gotGap(c.it.event)
		case itemRefused:
			err = c.refused()
		case itemSync:
			err = c.sync()
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, c.context(items, i))
		}
	}
	return nil
}

// context is what came before an item.
func (c *checker) context(items []item, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "subscriber %s\nat position %d, told %d; what it saw last:\n", c.s, c.pos, c.told)
	for j := max(0, i-30); j <= i; j++ {
		if items[j].kind != itemSync || j == i {
			fmt.Fprintf(&b, "\t%s\n", items[j].String())
		}
	}
	return b.String()
}

// attempted begins a stream.
func (c *checker) attempted() error {
	it := c.it
	now := c.w.lives[it.life]
	c.whys = nil
	c.placed = c.placed && !it.fresh
	if it.asked != "" {
		err := c.resumed(now)
		c.open()
		return err
	}
	if c.seen || c.placed {
		return fmt.Errorf("it asks without an id, although it had one")
	}
	c.settle(now)
	c.open()
	c.begin()
	return nil
}

// open forgets what was only of the stream before.
func (c *checker) open() {
	c.attempt = c.it
	c.older, c.told = max(c.older, c.told), 0
	c.forgive, c.accepted = false, 0
	c.latest, c.skipped, c.onlyNew, c.synced = 0, 0, 0, 0
	c.wantNewest, c.opening = false, true
}

// began is told that the stream has begun by now, which may be long after it was
// asked for.
func (c *checker) began() {
	if c.attempt.asked == "" && c.opening && c.life == c.w.lives[c.attempt.life] {
		c.begin()
	}
}

// accept notes up to where the subscriber wants to hear of no loss. It may be that
// of a loss the broker knows no more than that there was a newer one.
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

// resumed sets the place of a subscriber that has an id.
func (c *checker) resumed(now *life) error {
	if p, err := sse.ParsePosition(c.it.asked); err == nil {
		return c.resume(now, p)
	}
	c.resumeOwn(now)
	return nil
}

// settle makes a life the one in which the subscriber is.
func (c *checker) settle(l *life) {
	if c.life != l {
		c.life = l
		c.pos, c.opt, c.least, c.told, c.older = 0, 0, 0, 0, 0
	}
}

// begin sets the place of a subscriber that has no id.
func (c *checker) begin() {
	l, start := c.life, &c.start
	through := l.last(c.it.group)
	switch {
	case start.Earliest:
		c.forgive = true
		c.opt, c.pos = 0, 0
	case start.Last > 0:
		c.forgive = true
		c.opt = c.lastN(start.Last, c.attempt.from, false)
		c.pos = c.lastN(start.Last, through, true)
		c.opt = min(c.opt, c.pos)
	case !start.Time.IsZero() || c.ago > 0:
		from := c.since(c.it)
		c.opt, c.pos = 0, 0
		for seq := uint64(1); seq <= through; seq++ {
			if e := l.at(seq); e.time.Before(from) && c.selected(e) {
				c.pos = seq
			}
		}
	default:
		c.opt, c.pos = c.attempt.from, through
	}
	c.accept(c.it)
}

// since is the time of the first event that the subscriber asks for, if its stream
// begins at that of an item.
func (c *checker) since(it *item) time.Time {
	if c.ago > 0 {
		return it.time.Add(-c.ago)
	}
	return c.start.Time
}

// lastN is the sequence that is followed by n events of the selection. If it is unsure
// what was lost by then, that is at least what was before the subscriber asked.
func (c *checker) lastN(n int, through uint64, unsure bool) uint64 {
	for seq := through; seq > 0; seq-- {
		e := c.life.at(seq)
		lost := c.life.mayBeLost(e, c.it.group, c.it.time)
		if !c.selected(e) || lost && (!unsure || e.lost < c.attempt.group) {
			continue
		}
		if n == 0 {
			return seq
		}
		n--
	}
	return 0
}

// selected reports whether an event is selected, whatever the filter says.
func (c *checker) selected(e *published) bool {
	_, ok := topicOf(&c.s.sel, e)
	return ok
}

// resume sets the place of a subscriber that has an id with a position.
func (c *checker) resume(now *life, p sse.Position) error {
	l := c.w.lifeOf(p.Epoch)
	e := now.at(p.Seq)
	switch {
	case l != now:
		c.whys = []string{"epoch"}
		return nil
	case p.Seq > now.last(c.it.group):
		c.whys = []string{"future"}
		return nil
	case e != nil && e.at != p && !now.mayBeLost(e, c.it.group, c.it.time):
		c.whys = []string{"check"}
		return nil
	case e != nil && e.at != p:
		c.whys = []string{"check", ""}
		return nil
	case c.life != nil && c.life != now && c.seen:
		return fmt.Errorf("it asks for a position in another life, and was told no gap")
	}
	c.settle(now)
	if c.seen && p.Seq < c.least {
		return fmt.Errorf("it asks for what it has seen, after %d", c.least)
	}
	if c.seen || c.placed {
		if err := c.skip(p.Seq); err != nil {
			return err
		}
	}
	c.pos, c.opt = p.Seq, p.Seq
	return nil
}

// resumeOwn sets the place of a subscriber that has an application's id.
func (c *checker) resumeOwn(now *life) {
	c.whys = []string{"unknown"}
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
	if c.whys != nil { // it may be unknown
		c.whys = append(c.whys, "")
	}
	c.settle(now)
	c.opt, c.pos = first, last
	c.least = 0 // used twice, it leads back
}

// got checks an event.
func (c *checker) got(event sse.Event) error {
	e, err := c.w.identify(event)
	if err != nil {
		return err
	}
	if err := c.same(e, event); err != nil {
		return err
	}
	if c.whys != nil && !slices.Contains(c.whys, "") {
		return fmt.Errorf("it was told no gap for %v before the event", c.whys)
	}
	if c.whys != nil {
		c.settle(c.w.lives[c.attempt.life]) // taken on trust
		if p, err := sse.ParsePosition(c.attempt.asked); err == nil {
			c.pos, c.opt = p.Seq, p.Seq
		}
		c.whys = nil
	}
	seq := e.at.Seq
	switch {
	case c.life == nil || c.life != c.w.lives[e.life]:
		return fmt.Errorf("an event of another life, and no gap before it")
	case e.lost < c.attempt.group && c.life.keep.exact():
		return fmt.Errorf("an event that was removed before the stream began: %d", seq)
	case seq <= c.opt:
		return fmt.Errorf("an event twice, or out of order: %d after %d", seq, c.pos)
	case c.w.log == nil && seq <= c.latest && c.superseded(e, c.latest, true):
		return fmt.Errorf("an event that is not the latest of its topic, up to %d", c.latest)
	case c.attempt.asked == "" && seq <= c.life.last(c.attempt.group) &&
		(!c.start.Time.IsZero() || c.ago > 0) && e.time.Before(c.since(c.attempt)):
		return fmt.Errorf("an event that is older than what it asked for")
	}
	if err := c.skip(seq - 1); err != nil {
		return err
	}
	c.pos, c.opt, c.least = seq, seq, seq
	c.seen, c.opening, c.wantNewest = true, false, false
	return nil
}

// same checks that an event is the one that was published.
func (c *checker) same(e *published, got sse.Event) error {
	want := e.event
	if want.ID == "" {
		want.ID = e.at.String()
	}
	topic, ok := topicOf(&c.s.sel, e)
	if !ok || !c.s.passes(e) {
		return fmt.Errorf("an event that it has not selected, on %q", e.topics)
	}
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

// skip moves on to a sequence. Whatever is between must be accounted for.
func (c *checker) skip(through uint64) error {
	for seq := max(c.pos, c.synced) + 1; seq <= through; seq++ {
		e := c.life.at(seq)
		if c.selected(e) && c.s.passes(e) {
			if err := c.missed(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// missed checks that there is a reason for not having got an event.
func (c *checker) missed(e *published) error {
	seq := e.at.Seq
	lost := c.life.mayBeLost(e, c.it.group, c.it.time)
	switch {
	case lost && seq <= c.accepted:
		return nil
	case seq > max(c.told, c.older):
		return fmt.Errorf("event %d is missing, and no gap tells it (removed: %v)", seq, lost)
	case lost, seq <= c.onlyNew, seq <= c.skipped,
		seq <= c.latest && c.superseded(e, c.life.last(c.it.group), false):
		return nil
	}
	return fmt.Errorf("event %d is missing although it is kept; gaps up to %d", seq, c.told)
}

// superseded reports whether each selected topic of an event has a newer one,
// perhaps or for sure, as that may have been removed.
func (c *checker) superseded(e *published, through uint64, sure bool) bool {
	for _, topic := range e.topics {
		if selects(&c.s.sel, topic) && !c.newer(e, topic, through, sure) {
			return false
		}
	}
	return true
}

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

// sync checks that a subscriber to whom nothing is under way has everything.
func (c *checker) sync() error {
	switch {
	case slices.Contains(c.whys, ""):
		return nil
	case c.whys != nil:
		return fmt.Errorf("it was told no gap for %v", c.whys)
	case c.life == nil:
		return nil // it was refused, and has not asked again
	}
	if c.life != c.w.lives[c.attempt.life] {
		return fmt.Errorf("it is in another life than its broker")
	}
	through := c.life.last(c.it.group)
	if c.w.log != nil {
		// What the log removed before the broker could follow it wakes nobody: it
		// is told with what comes next.
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
		return fmt.Errorf("it has skipped all events up to %d, the newest too", c.skipped)
	}
	c.synced = max(c.synced, through)
	c.placed = c.w.cursor != sse.CursorOff
	return nil
}

// skippedAll reports whether there is nothing after what was skipped, of which the
// newest is still kept.
func (c *checker) skippedAll() bool {
	for seq := c.life.last(c.it.group); seq > 0; seq-- {
		if c.selected(c.life.at(seq)) {
			return seq <= c.skipped && !c.lostAt(seq)
		}
	}
	return false
}

// identify finds the event that was published with such data.
func (w *world) identify(event sse.Event) (*published, error) {
	token, _, _ := strings.Cut(event.Data, " ")
	n, err := strconv.Atoi(token)
	if err != nil || n < 0 || n >= len(w.published) || w.published[n] == nil {
		return nil, fmt.Errorf("an event that was never published: %.100q", event.Data)
	}
	return w.published[n], nil
}
