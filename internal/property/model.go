package property

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// published is a published event in the model.
type published struct {
	token    int  // a unique number, with which the event's data begins
	more     bool // the next event was published with the same call of Append
	life     int  // index of the event's life in world.lives
	at       sse.Position
	topics   []string // each topic once; {""} if the event was published without a topic
	event    sse.Event
	time     time.Time
	group    int   // the group in which the event was published
	lost     int   // the group in which a limit of retention removed the event, or never
	unwanted []int // without a log: for each topic, the group of the call of unwant, or never
	size     int64 // bytes on the wire
}

// never is greater than the number of any group.
const never = math.MaxInt

// life contains the events that were published in one epoch, in order.
type life struct {
	epoch  uint64
	events []*published // with the sequences 1, 2, 3, …
	keep   keeper
}

// keeper models retention: it computes which events may have been removed.
type keeper interface {
	// add adds the next event, and sets published.lost of each event that a limit
	// on events or bytes then removes.
	add(e *published)
	// aged reports whether e may have been removed because of its age, at the time
	// now in the given group.
	aged(e *published, group int, now time.Time) bool
	// exact reports whether an event with published.lost set cannot arrive any more.
	// If false, subscribers may still receive such an event.
	exact() bool
}

// at returns the event with the given sequence, or nil if there is none.
func (l *life) at(seq uint64) *published {
	if seq == 0 || seq > uint64(len(l.events)) {
		return nil
	}
	return l.events[seq-1]
}

// last returns the sequence of the newest event at the end of a group, or 0.
func (l *life) last(group int) uint64 {
	n := len(l.events)
	for n > 0 && l.events[n-1].group > group {
		n--
	}
	return uint64(n)
}

// add adds the next event. It returns an error unless e has the next sequence.
func (l *life) add(e *published) error {
	if want := uint64(len(l.events)) + 1; e.at.Seq != want || e.at.Epoch != l.epoch {
		return fmt.Errorf("got the position %+v, want sequence %d in epoch %d", e.at, want, l.epoch)
	}
	l.events = append(l.events, e)
	l.keep.add(e)
	return nil
}

// mayBeLost reports whether an event may have been removed by the end of a
// group, or because of its age at the time now.
func (l *life) mayBeLost(e *published, group int, now time.Time) bool {
	return e.lost <= group || l.keep.aged(e, group, now)
}

// windowKeeper models the retention of a broker without a log.
type windowKeeper struct {
	limits sse.Retention
	rules  []sse.TopicRetention
	live   []*published
	bytes  int64
	wanted map[string][]*published // by topic: the events that the topic's rule retains
	sizes  map[string]int64        // by topic: the size of those events in bytes
}

func (k *windowKeeper) add(e *published) {
	k.live = append(k.live, e)
	k.bytes += e.size
	for _, topic := range e.topics {
		k.wanted[topic] = append(k.wanted[topic], e)
		k.sizes[topic] += e.size
		e.unwanted = append(e.unwanted, never)
	}
	for exceeds(k.limits.Events, k.limits.Bytes, len(k.live), k.bytes) {
		k.remove(k.live[0], e.group)
	}
	for _, topic := range e.topics {
		rule := k.rule(topic)
		for rule != nil && exceeds(rule.Events, rule.Bytes, len(k.wanted[topic]), k.sizes[topic]) {
			k.unwant(k.wanted[topic][0], topic, e.group)
		}
	}
}

// exact is false if there is a limit of age: events that are removed because of
// their age leave room for events that add has marked as lost.
func (k *windowKeeper) exact() bool {
	for i := range k.rules {
		if k.rules[i].Age > 0 {
			return false
		}
	}
	return k.limits.Age == 0
}

// exceeds reports whether events exceed a limit. A limit of zero means no limit.
// The last event is retained even if it is larger than the limit.
func exceeds(maxEvents int, maxBytes int64, events int, bytes int64) bool {
	return events > 1 && (maxEvents > 0 && events > maxEvents || maxBytes > 0 && bytes > maxBytes)
}

// rule returns the first rule whose pattern matches the topic, or nil.
func (k *windowKeeper) rule(topic string) *sse.TopicRetention {
	for i := range k.rules {
		if matches(k.rules[i].Pattern.String(), topic) {
			return &k.rules[i]
		}
	}
	return nil
}

// unwant records that the rule of a topic no longer retains an event. If no topic
// retains the event any more, unwant removes the event.
func (k *windowKeeper) unwant(e *published, topic string, group int) {
	retained := 0
	for i, other := range e.topics {
		if other == topic && e.unwanted[i] == never {
			e.unwanted[i] = group
			k.wanted[topic] = k.wanted[topic][1:]
			k.sizes[topic] -= e.size
		}
		if e.unwanted[i] == never {
			retained++
		}
	}
	if retained == 0 && e.lost == never {
		k.remove(e, group)
	}
}

// remove removes an event from the window and from all of its topics.
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

// aged reports true if the event is too old for the limits of the whole window. aged
// also reports true if no topic of the event retains it any more: for each topic, unwant
// was called, or the event is too old for the topic's rule.
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

// matches reports whether a pattern selects a topic. It does not use package sse,
// so that it can find errors there.
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

// topicOf returns the first topic of an event that sel selects. It returns false if
// sel selects no topic of the event.
func topicOf(sel *sse.Selection, e *published) (string, bool) {
	for _, topic := range e.topics {
		if selects(sel, topic) {
			return topic, true
		}
	}
	return "", false
}

// behind returns the number and the bytes of the selected events after the sequence
// after and up to the sequence through. As for Selection.MaxLag, an event counts
// once for each of its topics that sel.Topics contains, and once for each pattern that
// matches any of its topics.
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
