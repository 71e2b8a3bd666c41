package sse_test

import (
	"slices"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// logKeeper is the retention of a reference log.
type logKeeper struct {
	rules []reflog.Retention
	live  []*published
}

func (k *logKeeper) add(e *published) {
	k.live = append(k.live, e)
	if e.more {
		return // a log applies its rules when it has all
	}
	for i := range k.rules {
		k.apply(&k.rules[i], e.group)
	}
}

func (k *logKeeper) apply(rule *reflog.Retention, group int) {
	if rule.Entries == 0 && rule.Bytes == 0 {
		return
	}
	count, bytes, full := 0, int64(0), false
	for _, e := range slices.Backward(k.live) {
		if !isAbout(rule, e) {
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
		if rule.Age > 0 && isAbout(rule, e) && now.Sub(e.time) > rule.Age {
			return true
		}
	}
	return false
}

// exact is false: the broker has what the log has removed.
func (k *logKeeper) exact() bool { return false }

func isAbout(rule *reflog.Retention, e *published) bool {
	if rule.Pattern == (sse.Pattern{}) {
		return true
	}
	return slices.ContainsFunc(e.topics, func(topic string) bool {
		return matches(rule.Pattern.String(), topic)
	})
}

func logSize(e *published) int64 {
	size := len(e.event.ID) + len(e.event.Type) + len(e.event.Data)
	for _, topic := range e.topics {
		size += len(topic)
	}
	return int64(size)
}
