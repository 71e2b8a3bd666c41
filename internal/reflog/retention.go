package reflog

import (
	"slices"
	"time"

	"github.com/sse-go/sse"
)

// Retention is a rule by which the log removes entries, the oldest first. If
// several rules match an entry, the first one whose limit it exceeds removes
// it.
type Retention struct {
	// Pattern selects the entries to which the rule applies. The limits are for
	// all of these entries together. If zero, the rule applies to the whole log.
	Pattern sse.Pattern

	Entries int           // maximum number of entries; if zero, no limit
	Bytes   int64         // maximum bytes of topics, ids, types and data; if zero, no limit
	Age     time.Duration // maximum age; if zero, no limit
}

// Trim removes the entries that have become too old since the last Append.
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

// applyLocked goes from the newest entry to the oldest. From the first entry
// that exceeds a limit on, it removes all entries to which the rule applies.
func (l *Log) applyLocked(rule *Retention) {
	oldest := l.opts.Now().Add(-rule.Age)
	count, bytes, full := 0, int64(0), false
	remove := make(map[uint64]bool)
	for _, entry := range slices.Backward(l.entries) {
		if !rule.applies(&entry) {
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
		l.recordLossLocked(&entry)
		return true
	})
}

func (r *Retention) applies(entry *sse.Entry) bool {
	return r.Pattern == (sse.Pattern{}) || slices.ContainsFunc(entry.Topics, r.Pattern.Match)
}

// recordLossLocked records that an entry is removed. Because of several rules,
// entries may be removed in any order.
func (l *Log) recordLossLocked(entry *sse.Entry) {
	for _, topic := range entry.Topics {
		lost := l.removed[topic]
		lost.raise(loss{entry.Position, entry.Time})
		l.removed[topic] = lost
	}
}

// loss is the position of the newest removed entry, and the latest time of a
// removed one.
type loss struct {
	at   sse.Position
	time time.Time
}

func (l *loss) raise(other loss) {
	if other.at.Seq > l.at.Seq {
		l.at = other.at
	}
	if other.time.After(l.time) {
		l.time = other.time
	}
}

// lostLocked returns the loss of the entries that sel matches.
func (l *Log) lostLocked(sel *sse.Selection) loss {
	var lost loss
	for topic, other := range l.removed {
		if sel.Match([]string{topic}) {
			lost.raise(other)
		}
	}
	return lost
}

// sizeOf returns the size of an entry for the limit of Read and for
// Retention.Bytes.
func sizeOf(entry *sse.Entry) int {
	size := len(entry.Event.ID) + len(entry.Event.Type) + len(entry.Event.Data)
	for _, topic := range entry.Topics {
		size += len(topic)
	}
	return size
}
