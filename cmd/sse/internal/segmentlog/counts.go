package segmentlog

import (
	"strings"
	"time"
)

// counts has the topics to which rules with a Count or Bytes apply. They are counted
// anew when the log is opened.
type counts struct {
	rules    []Retention
	needed   bool   // there is such a rule
	complete bool   // the entries that the log had when it was opened are counted
	newest   uint64 // the newest entry, if complete
	topics   map[string]*topicCount
	due      map[string]*topicCount // topics that may have more entries than allowed
}

// topicCount counts the entries of a topic that its rule allows.
type topicCount struct {
	rule *Retention // nil if no rule applies
	count
	cut uint64 // entries up to this number are not counted: the rule does not allow them
}

func newCounts(rules []Retention) counts {
	c := counts{rules: rules}
	for _, rule := range rules {
		if !rule.isOverall() && (rule.Count > 0 || rule.Bytes > 0) {
			c.needed = true
		}
	}
	c.topics, c.due = map[string]*topicCount{}, map[string]*topicCount{}
	return c
}

// isOverall reports whether a rule applies to the whole log.
func (r *Retention) isOverall() bool { return r.Pattern.String() == "" }

// of returns the counts of a topic. Only topics with a rule for a number or for bytes
// remain in memory, as long as entries of them are counted. If none was counted until
// now, the rule does not allow the entries that the topic has.
func (c *counts) of(topic string) *topicCount {
	if t := c.topics[topic]; t != nil {
		return t
	}
	t := &topicCount{rule: ruleOf(c.rules, topic)}
	if c.needed && t.rule != nil && (t.rule.Count > 0 || t.rule.Bytes > 0) {
		t.cut = c.newest
		c.topics[strings.Clone(topic)] = t
	}
	return t
}

// add counts a new entry. Log.mu is held.
func (c *counts) add(h *head, cost uint64) {
	if !c.needed {
		return
	}
	for _, topic := range distinct(h.topics) {
		t := c.of(topic)
		t.entries++
		t.bytes += cost
		if t.exceeds() {
			c.due[topic] = t
		}
	}
	if c.complete {
		c.newest = h.seq
	}
}

// addOld counts entries that a topic had when the log was opened. Log.mu is held.
func (c *counts) addOld(topic string, old count) {
	t := c.of(topic)
	t.entries += old.entries
	t.bytes += old.bytes
	if t.exceeds() {
		c.due[topic] = t
	}
}

// remove counts an entry that was removed. Log.mu is held.
func (c *counts) remove(topic string, seq, cost uint64) {
	t := c.topics[topic]
	if t == nil {
		return
	}
	if seq > t.cut {
		t.entries--
		t.bytes -= cost
	}
	if t.entries == 0 {
		delete(c.topics, topic)
		delete(c.due, topic)
	}
}

// exceeds reports whether the topic has more than its rule allows.
func (t *topicCount) exceeds() bool {
	return t.rule != nil && t.entries > 0 &&
		(t.rule.Count > 0 && t.entries > uint64(t.rule.Count) ||
			t.rule.Bytes > 0 && t.bytes > uint64(t.rule.Bytes))
}

// wants reports whether one of an entry's topics still needs the entry. Log.mu is held.
func (c *counts) wants(d *doomed, now int64) bool {
	for _, topic := range d.topics {
		t := c.of(topic)
		if t.rule == nil {
			return true
		}
		if d.seq > t.cut && !isOld(d.nano, t.rule.Age, now) {
			return true
		}
	}
	return false
}

// isOld reports whether a time is more than an age ago. Nothing is old if age is zero.
func isOld(nano int64, age time.Duration, now int64) bool {
	return age > 0 && nano < now-int64(age)
}
