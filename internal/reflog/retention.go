package reflog

import (
	"slices"
	"time"

	"github.com/sse-go/sse"
)

// Retention is a rule by which the log removes entries, the oldest first. The log
// applies its rules one after the other: an entry that one rule has removed does
// not count for the limits of later rules.
type Retention struct {
	// Pattern selects the entries to which the rule applies: entries with a topic
	// that it matches. The limits below are for all of these entries together. If
	// Pattern is zero, the rule applies to all entries.
	Pattern sse.Pattern

	Entries int           // maximum number of entries; if zero, no limit
	Bytes   int64         // maximum bytes of topics, IDs, types and data; if zero, no limit
	Age     time.Duration // maximum age; if zero, no limit
}

// Trim applies the retention. Append does so too, but entries can become too old
// without an Append.
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

// applyLocked applies one rule. It goes through the entries from the newest to the
// oldest. When it reaches an entry that exceeds a limit, it removes this entry and
// all older ones to which the rule applies.
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

// recordLossLocked records that an entry is removed. It must not assume that the
// entry is newer than those removed before: one rule may have removed newer
// entries than another rule removes now.
func (l *Log) recordLossLocked(entry *sse.Entry) {
	for _, topic := range entry.Topics {
		lost := l.removed[topic]
		lost.raise(loss{entry.Position, entry.Time})
		l.removed[topic] = lost
	}
}

// loss describes a set of removed entries. The zero loss describes no entries.
type loss struct {
	at   sse.Position // of the newest of them in the order of the log
	time time.Time    // latest Time of any of them
}

func (l *loss) raise(other loss) {
	if other.at.Seq > l.at.Seq {
		l.at = other.at
	}
	if other.time.After(l.time) {
		l.time = other.time
	}
}

// lostLocked returns the loss that describes the removed entries that sel matches.
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
