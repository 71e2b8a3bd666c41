package segmentlog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// trim is the goroutine that removes entries by the rules of retention: when commit
// reports that there is too much, and from time to time what has become too old.
func (l *Log) trim() {
	ticker := time.NewTicker(l.agingPeriod())
	defer ticker.Stop()
	for {
		if err := l.trimNow(); err != nil && !errors.Is(err, ErrClosed) {
			l.logger.Error("sse: the log's retention", "dir", l.dir, "err", err)
		}
		select {
		case <-l.wake:
		case <-ticker.C:
		case <-l.closing:
			return
		case <-l.failed:
			return
		}
	}
}

// agingPeriod returns how often trim looks for entries and keys that are too old.
func (l *Log) agingPeriod() time.Duration {
	youngest := l.keys.window
	for _, age := range l.ages {
		youngest = strictest(youngest, age)
	}
	return min(max(youngest/20, time.Second), time.Minute)
}

// lookSoon makes trim look.
func (l *Log) lookSoon() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// wakeTrim reports a group of some bytes that was stored to trim.
func (l *Log) wakeTrim(bytes int) {
	l.mu.Lock()
	needed := len(l.counts.due) > 0 || l.exceeds(l.live)
	l.mu.Unlock()
	if needed {
		l.lag.add(int64(bytes))
		l.lookSoon()
	}
}

// exceeds reports whether the whole log has more than its rules allow.
func (l *Log) exceeds(c count) bool {
	return l.overall.Count > 0 && c.entries > uint64(l.overall.Count) ||
		l.overall.Bytes > 0 && c.bytes > uint64(l.overall.Bytes)
}

// Trim removes the entries that the rules of retention do not allow. The log does so by
// itself; Trim does it now. After a crash, what Trim has removed is not there again.
func (l *Log) Trim() error {
	if err := l.trimNow(); err != nil {
		return err
	}
	return l.saveState()
}

// saveState writes the state if it has changed.
func (l *Log) saveState() error {
	l.stating.Lock()
	defer l.stating.Unlock()
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	l.mu.Lock()
	changed := l.changedState
	l.mu.Unlock()
	if !changed {
		return nil
	}
	return l.writeState()
}

// trimNow does what Trim does, but does not write the state if no file can be removed.
func (l *Log) trimNow() error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	behind := l.lag.get()
	defer l.lag.caughtUp(behind)
	for _, step := range []func() error{
		l.countTopics, l.removeDamaged, l.trimTopics, l.trimOverall, l.trimByAge, l.reclaim,
	} {
		select {
		case <-l.closing:
			return ErrClosed // there may be much to do
		default:
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// countTopics counts the entries of topics that the log had when it was opened, unless
// that is done. From then on, commit counts new entries. l.trimming is held.
func (l *Log) countTopics() error {
	if !l.counts.needed || l.counts.complete {
		return nil
	}
	found := map[string]count{}
	for _, s := range l.list() {
		if err := l.countSegment(s, found); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, c := range found {
		l.counts.addOld(topic, c)
	}
	l.counts.complete, l.counts.newest = true, l.end.Load().seq
	return nil
}

// countSegment counts the entries that a segment had when the log was opened.
func (l *Log) countSegment(s *segment, found map[string]count) error {
	return l.withIndex(s, func(idx index) error {
		in := map[string]count{}
		last, err := idx.find(l.opened + 1)
		if err != nil {
			return err
		}
		err = idx.topics("", func(topic string, load func() (postings, error)) (bool, error) {
			if rule := ruleOf(l.rules, topic); rule == nil || rule.Count == 0 && rule.Bytes == 0 {
				return true, nil
			}
			list, err := load()
			if err != nil {
				return false, err
			}
			var c count
			list.each(func(i int) {
				if i >= last || s.isRemoved(i) || err != nil {
					return
				}
				var place loc
				place, err = idx.loc(i)
				c.entries++
				c.bytes += costOf(place)
			})
			in[strings.Clone(topic)] = c
			return true, err
		})
		if err != nil {
			return err
		}
		for topic, c := range in {
			sum := found[topic]
			found[topic] = count{sum.entries + c.entries, sum.bytes + c.bytes}
		}
		return nil
	})
}

// trimTopics trims the topics that have more than their rules allow.
func (l *Log) trimTopics() error {
	l.mu.Lock()
	due := l.counts.due
	l.counts.due = map[string]*topicCount{}
	l.mu.Unlock()
	for topic := range due {
		if err := l.trimTopic(topic); err != nil {
			return err
		}
	}
	return nil
}

// trimTopic moves the cut of a topic to where its rule allows all later entries. It
// removes the entries up to the cut that no other topic needs.
func (l *Log) trimTopic(topic string) error {
	l.mu.Lock()
	t := l.counts.of(topic)
	cut := t.cut
	l.mu.Unlock()
	sel := &selector{topics: []string{topic}}
	return l.doom(sel, cut+1, func(d *doomed) (remove, more bool) {
		if !t.exceeds() {
			return false, false
		}
		t.cut = d.seq
		t.entries--
		t.bytes -= d.cost
		return !l.counts.wants(d, l.now().UnixNano()), true
	})
}

// trimOverall removes the oldest entries, even if their topics need them.
func (l *Log) trimOverall() error {
	l.mu.Lock()
	exceeds := l.exceeds(l.live)
	l.mu.Unlock()
	if !exceeds {
		return nil
	}
	return l.doom(newSelector(nil), 0, func(*doomed) (remove, more bool) {
		exceeds := l.exceeds(l.live)
		return exceeds, exceeds
	})
}

// Retention by age goes over the log once for each age of a rule, a little every time:
// a sweep has reached the newest entry that is older than the age. If another topic
// needs an entry that the sweep has passed, the sweep of that topic's age looks at the
// entry again.
//
// A sweep ends at the first entry that is not old enough, although one after it may be:
// an entry with a time in the future keeps the entries after it from becoming old.

// trimByAge removes the entries that are too old.
func (l *Log) trimByAge() error {
	for _, age := range l.ages {
		now := l.now().UnixNano()
		err := l.doom(newSelector(nil), l.sweeps[age]+1, func(d *doomed) (remove, more bool) {
			if !isOld(d.nano, age, now) {
				return false, false
			}
			l.sweeps[age] = d.seq
			l.changedState = true
			return isOld(d.nano, l.overall.Age, now) || !l.counts.wants(d, now), true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func rulesHash(rules []Retention) uint64 {
	h := fnv.New64a()
	for _, rule := range rules {
		_, _ = fmt.Fprintf(h, "%q %d %d %d\n", rule.Pattern.String(), rule.Age, rule.Count, rule.Bytes)
	}
	return h.Sum64()
}

// Delete removes the entries of a topic up to and including a position, from their other
// topics as well. The zero Position stands for the end of the log. After Delete has
// returned nil, the entries are not there again after a crash.
func (l *Log) Delete(ctx context.Context, topic string, through sse.Position) error {
	last := through.Seq
	if through == (sse.Position{}) {
		last = l.end.Load().seq
	}
	if err := l.deleteTopic(ctx, topic, last); err != nil {
		return err
	}
	if err := l.saveState(); err != nil {
		return err
	}
	l.lookSoon()
	return nil
}

func (l *Log) deleteTopic(ctx context.Context, topic string, last uint64) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	if err := l.countTopics(); err != nil {
		return err
	}
	err := l.doom(&selector{topics: []string{topic}}, 0, func(d *doomed) (remove, more bool) {
		more = d.seq <= last && ctx.Err() == nil
		return more, more
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// doomed is an entry that may be removed.
type doomed struct {
	place
	segment *segment
	ordinal int
	nano    int64
	topics  []string // distinct
	cost    uint64
}

// chunk is the number of entries that are removed without releasing Log.mu. So long an
// append waits.
const chunk = 256

// doom calls decide for the selected entries from a number on, in order, until decide
// returns false for more. It removes the entries for which decide returns true. l.mu is
// held during a call of decide, and l.trimming is held during doom.
func (l *Log) doom(sel *selector, from uint64, decide func(d *doomed) (remove, more bool)) error {
	var frames frameReader
	defer frames.close()
	return l.walk(from, l.end.Load().seq, func(s *segment) (more bool, err error) {
		var set bitset
		first := 0
		if err := l.withIndex(s, func(idx index) (err error) {
			if first, err = idx.find(from); err == nil {
				set, err = sel.in(s, idx)
			}
			return err
		}); err != nil {
			return false, err
		}
		for i := set.next(first); i >= 0; {
			var batch []doomed
			if batch, i, err = l.readDoomed(&frames, s, set, i); err != nil {
				return false, err
			}
			if !l.removeBatch(batch, decide) {
				return false, nil
			}
			if len(batch) > 0 {
				from = batch[len(batch)-1].seq + 1
			}
		}
		return true, nil
	})
}

// readDoomed reads a few entries of a set, and returns the ordinal of the next one.
func (l *Log) readDoomed(frames *frameReader, s *segment, set bitset, i int) (
	batch []doomed, next int, err error) {
	var h head
	for ; i >= 0 && len(batch) < chunk; i = set.next(i + 1) {
		payload, sum, seq, err := l.frame(frames, s, i)
		if err != nil {
			return nil, 0, err
		}
		if payload == nil {
			continue
		}
		h.topics = nil // each entry has its own
		if err := h.parse(string(payload)); err != nil {
			return nil, 0, err
		}
		batch = append(batch, doomed{
			place: place{seq, sum}, segment: s, ordinal: i, nano: h.nano,
			topics: distinct(h.topics), cost: costOf(loc{size: uint32(len(payload) + frameSize)}),
		})
	}
	return batch, i, nil
}

// removeBatch removes the entries that decide chooses, and reports whether it wants
// more.
func (l *Log) removeBatch(batch []doomed, decide func(*doomed) (remove, more bool)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	marks := map[string]lossMark{}
	var chosen []*doomed
	more := true
	for i := range batch {
		d := &batch[i]
		var remove bool
		if remove, more = decide(d); remove {
			for _, topic := range d.topics {
				marks[topic] = newer(marks[topic], lossMark{d.place, d.nano})
			}
			chosen = append(chosen, d)
			// What decide sees next must be without this entry.
			l.live.entries--
			l.live.bytes -= d.cost
			for _, topic := range d.topics {
				l.counts.remove(topic, d.seq, d.cost)
			}
		}
		if !more {
			break
		}
	}
	if len(chosen) == 0 {
		return more
	}
	l.losses.add(marks) // before the entries are missing
	for _, d := range chosen {
		d.segment.remove(d.ordinal, d.cost)
	}
	l.changedState = true
	return more
}
