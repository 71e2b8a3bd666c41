package reflog

import (
	"slices"
	"time"

	"github.com/sse-go/sse"
)

// Retention is a rule by which entries are removed, the oldest first. An entry
// with several topics goes when the first rule says so.
type Retention struct {
	// Pattern is whose entries the rule is about, all of them together. If zero,
	// it is about the whole log.
	Pattern sse.Pattern

	Entries int           // how many are kept at most; if zero, any number
	Bytes   int64         // of topics, ids, types and data; if zero, any number
	Age     time.Duration // how old they become; if zero, any age
}

// Trim removes entries that have become too old.
func (l *Log) Trim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
}

func (l *Log) trimLocked() {
	for _, rule := range l.opts.Retention {
		l.applyLocked(&rule)
	}
}

// applyLocked walks from the newest entry to the oldest: from the first that the
// rule has no room for, all that it is about are removed.
func (l *Log) applyLocked(rule *Retention) {
	oldest := l.opts.Now().Add(-rule.Age)
	count, bytes, full := 0, int64(0), false
	remove := make(map[uint64]bool)
	for _, entry := range slices.Backward(l.entries) {
		if !rule.isAbout(&entry) {
			continue
		}
		count++
		bytes += int64(sizeOf(&entry))
		full = full || rule.Entries > 0 && count > rule.Entries ||
			rule.Bytes > 0 && bytes > rule.Bytes ||
			rule.Age > 0 && entry.Time.Before(oldest)
		if full {
			remove[entry.Position.Seq] = true
		}
	}
	l.entries = slices.DeleteFunc(l.entries, func(entry sse.Entry) bool {
		if !remove[entry.Position.Seq] {
			return false
		}
		l.markLocked(&entry)
		return true
	})
}

func (r *Retention) isAbout(entry *sse.Entry) bool {
	return r.Pattern == (sse.Pattern{}) || slices.ContainsFunc(entry.Topics, r.Pattern.Match)
}

// markLocked remembers what was removed. Rules remove in any order.
func (l *Log) markLocked(entry *sse.Entry) {
	for _, topic := range entry.Topics {
		if l.removed[topic].at.Seq < entry.Position.Seq {
			l.removed[topic] = loss{entry.Position, entry.Time}
		}
	}
}

// loss is where an entry was removed, and when that was published.
type loss struct {
	at   sse.Position
	time time.Time
}

// lostLocked is the newest selected entry that was removed.
func (l *Log) lostLocked(sel *sse.Selection) loss {
	var lost loss
	for topic, other := range l.removed {
		if other.at.Seq > lost.at.Seq && sel.Match([]string{topic}) {
			lost = other
		}
	}
	return lost
}

// sizeOf is what Read's limit and Retention.Bytes count.
func sizeOf(entry *sse.Entry) int {
	size := len(entry.Event.ID) + len(entry.Event.Type) + len(entry.Event.Data)
	for _, topic := range entry.Topics {
		size += len(topic)
	}
	return size
}
