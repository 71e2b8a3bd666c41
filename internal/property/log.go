package property

import (
	"slices"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// logKeeper models the retention of a [reflog.Log].
type logKeeper struct {
	rules []reflog.Retention
	live  []*published // the events that no limit on entries or bytes has removed
}

func (k *logKeeper) add(e *published) {
	k.live = append(k.live, e)
	if e.more {
		return // the log applies its rules after the last event of a call
	}
	for i := range k.rules {
		k.apply(&k.rules[i], e.group)
	}
}

// apply applies the limits on entries and bytes of one rule. Its limit on age is applied
// by the method aged.
func (k *logKeeper) apply(rule *reflog.Retention, group int) {
	if rule.Entries == 0 && rule.Bytes == 0 {
		return
	}
	count, bytes, full := 0, int64(0), false
	for _, e := range slices.Backward(k.live) {
		if !applies(rule, e) {
			continue
		}
		count++
		bytes += logSize(e)
		full = full || rule.Entries > 0 && count > rule.Entries || rule.Bytes > 0 && bytes > rule.Bytes
		if full {
			e.lost = group
		}
	}
	if full {
		k.live = slices.DeleteFunc(k.live, func(e *published) bool { return e.lost != never })
	}
}

func (k *logKeeper) aged(e *published, _ int, now time.Time) bool {
	for i := range k.rules {
		rule := &k.rules[i]
		if rule.Age > 0 && applies(rule, e) && now.Sub(e.time) > rule.Age {
			return true
		}
	}
	return false
}

// exact returns false, because the broker may still have an event in memory that
// the log has removed.
func (k *logKeeper) exact() bool { return false }

// applies reports whether a rule applies to an event.
func applies(rule *reflog.Retention, e *published) bool {
	if rule.Pattern == (sse.Pattern{}) {
		return true
	}
	return slices.ContainsFunc(e.topics, func(topic string) bool {
		return matches(rule.Pattern.String(), topic)
	})
}

// logSize returns the size of an event as the log counts it for its rules.
func logSize(e *published) int64 {
	size := len(e.event.ID) + len(e.event.Type) + len(e.event.Data)
	for _, topic := range e.topics {
		size += len(topic)
	}
	return int64(size)
}
