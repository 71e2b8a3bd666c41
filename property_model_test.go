package sse_test

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// published is an event as the model knows it.
type published struct {
	token    int  // in its data
	more     bool // the next was published with the same call
	life     int  // which life of the log it is of
	at       sse.Position
	topics   []string // each once; {""} without any
	event    sse.Event
	time     time.Time
	group    int   // in which it was published
	lost     int   // in which retention removed it, or never
	unwanted []int // likewise for each of its topics, without a log
	size     int64
}

// A group is what happens between two times at which everything has settled. Of
// two things in one group the order is not known.
const never = math.MaxInt

// life is what was published in one epoch of a log, in order.
type life struct {
	epoch  uint64
	events []*published // with the sequences 1, 2, 3, …
	keep   keeper
}

// keeper says what retention may have removed.
type keeper interface {
	// add is told of each event, in order.
	add(e *published)
	// aged reports whether an event may have been removed because of its age.
	aged(e *published, group int, now time.Time) bool
	// exact reports whether published.lost says what was removed, not only what may
	// have been.
	exact() bool
}

// at returns the event with a sequence, or nil.
func (l *life) at(seq uint64) *published {
	if seq == 0 || seq > uint64(len(l.events)) {
		return nil
	}
	return l.events[seq-1]
}

// last is the newest sequence there was at the end of a group.
func (l *life) last(group int) uint64 {
	n := len(l.events)
	for n > 0 && l.events[n-1].group > group {
		n--
	}
	return uint64(n)
}

// add adds an event that comes after all others.
func (l *life) add(e *published) error {
	if want := uint64(len(l.events)) + 1; e.at.Seq != want || e.at.Epoch != l.epoch {
		return fmt.Errorf("Publish returned %+v, want sequence %d in epoch %d", e.at, want, l.epoch)
	}
	l.events = append(l.events, e)
	l.keep.add(e)
	return nil
}

// mayBeLost reports whether an event may have been removed by the end of a
// group, and at a time.
func (l *life) mayBeLost(e *published, group int, now time.Time) bool {
	return e.lost <= group || l.keep.aged(e, group, now)
}

// windowKeeper is the retention of a broker without a log.
type windowKeeper struct {
	limits sse.Retention
	rules  []sse.Retention
	live   []*published
	bytes  int64
	wanted map[string][]*published // by topic: those that it wants kept
	sizes  map[string]int64
}

func (k *windowKeeper) add(e *published) {
	k.live = append(k.live, e)
	k.bytes += e.size
	for _, topic := range e.topics {
		k.wanted[topic] = append(k.wanted[topic], e)
		k.sizes[topic] += e.size
		e.unwanted = append(e.unwanted, never)
	}
	for exceeds(&k.limits, len(k.live), k.bytes) {
		k.remove(k.live[0], e.group)
	}
	for _, topic := range e.topics {
		rule := k.rule(topic)
		for rule != nil && exceeds(rule, len(k.wanted[topic]), k.sizes[topic]) {
			k.unwant(k.wanted[topic][0], topic, e.group)
		}
	}
}

func (k *windowKeeper) exact() bool {
	for i := range k.rules {
		if k.rules[i].Age > 0 {
			return false
		}
	}
	return k.limits.Age == 0
}

func exceeds(limits *sse.Retention, events int, bytes int64) bool {
	return events > 1 && (limits.Events > 0 && events > limits.Events ||
		limits.Bytes > 0 && bytes > limits.Bytes)
}

func (k *windowKeeper) rule(topic string) *sse.Retention {
	for i := range k.rules {
		if matches(k.rules[i].Pattern.String(), topic) {
			return &k.rules[i]
		}
	}
	return nil
}

func (k *windowKeeper) unwant(e *published, topic string, group int) {
	kept := 0
	for i, other := range e.topics {
		if other == topic && e.unwanted[i] == never {
			e.unwanted[i] = group
			k.wanted[topic] = k.wanted[topic][1:]
			k.sizes[topic] -= e.size
		}
		if e.unwanted[i] == never {
			kept++
		}
	}
	if kept == 0 && e.lost == never {
		k.remove(e, group)
	}
}

func (k *windowKeeper) remove(e *published, group int) {
	e.lost = group
	k.bytes -= e.size
	for i := range k.live {
		if k.live[i] == e {
			k.live = append(k.live[:i:i], k.live[i+1:]...)
			break
		}
	}
	for i, topic := range e.topics {
		if e.unwanted[i] == never {
			k.unwant(e, topic, group)
		}
	}
}

func (k *windowKeeper) aged(e *published, group int, now time.Time) bool {
	age := now.Sub(e.time)
	if k.limits.Age > 0 && age > k.limits.Age {
		return true
	}
	for i, topic := range e.topics {
		rule := k.rule(topic)
		if e.unwanted[i] > group && (rule == nil || rule.Age == 0 || age <= rule.Age) {
			return false
		}
	}
	return true
}

// selects reports whether a selection selects the topic.
func selects(sel *sse.Selection, topic string) bool {
	if len(sel.Topics) == 0 && len(sel.Patterns) == 0 {
		return topic == ""
	}
	for _, t := range sel.Topics {
		if t == topic {
			return true
		}
	}
	for _, p := range sel.Patterns {
		if matches(p.String(), topic) {
			return true
		}
	}
	return false
}

// matches reports whether a pattern selects a topic.
func matches(pattern, topic string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(topic, "/")
	for i, segment := range want {
		switch {
		case segment == "**":
			return len(got) > i
		case i >= len(got) || segment != "*" && segment != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

// topicOf is the first topic of an event that is selected, and whether there is
// one.
func topicOf(sel *sse.Selection, e *published) (string, bool) {
	for _, topic := range e.topics {
		if selects(sel, topic) {
			return topic, true
		}
	}
	return "", false
}

// behind is how many events, and bytes, come after one sequence and up to
// another, in the way that Selection.MaxLag counts.
func (l *life) behind(sel *sse.Selection, after, through uint64) (events int, bytes int64) {
	for seq := after + 1; seq <= through; seq++ {
		e := l.at(seq)
		n := 0
		for _, topic := range e.topics {
			if selects(&sse.Selection{Topics: sel.Topics}, topic) &&
				(len(sel.Topics) > 0 || len(sel.Patterns) == 0) {
				n++
			}
		}
		for _, p := range sel.Patterns {
			if _, ok := topicOf(&sse.Selection{Patterns: []sse.Pattern{p}}, e); ok {
				n++
			}
		}
		events += n
		bytes += int64(n) * e.size
	}
	return events, bytes
}
