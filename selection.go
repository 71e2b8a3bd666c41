package sse

import (
	"fmt"
	"slices"
	"time"
)

// Selection is what a subscriber gets, and how. The zero Selection is the events
// that are published without a topic.
type Selection struct {
	// Topics are those whose events to get. If there are neither Topics nor
	// Patterns, the events that have no topic.
	Topics []string

	// Patterns select topics by their form. An event that several Topics or
	// Patterns select comes once.
	Patterns []Pattern

	// Filter, if not nil, is asked of every event that Topics and Patterns select;
	// where it returns false, the subscriber does not get it. It is called for one
	// event after the other, and holds up the stream, but nobody else. The entry is
	// shared and must not be modified. An EventLog ignores it.
	Filter func(*Entry) bool

	// Key is who the subscriber is, such as a user or a tenant. [Broker.MaxPerKey]
	// counts it.
	Key string

	// Lag is what happens to a subscriber that falls behind. If empty,
	// [LagDisconnect].
	Lag LagPolicy

	// MaxLag and MaxLagBytes are how far behind a subscriber may fall, once it has
	// caught up: events, and their bytes on the wire, that are published and not
	// yet taken by its connection. An event counts once for each of its topics
	// that is selected. If zero, 4096 events and 16 MiB. If negative, there is no
	// limit but what the broker keeps.
	MaxLag      int
	MaxLagBytes int64

	// Loss is what happens when events that the subscriber asked for are gone. If
	// empty, it gets a [Gap], and then what there still is.
	Loss LossPolicy

	// WithTopic adds to each event the field topic, [Event.Topic]: the first of its
	// topics that is selected.
	WithTopic bool

	// Expires, if not zero, is when the stream ends with [ErrExpired], as when it
	// was authorised by a token that expires then.
	Expires time.Time
}

// LagPolicy is what happens to a subscriber that has fallen too far behind: it
// reads too slowly, or not at all.
type LagPolicy string

// The policies for subscribers that fall behind. None of them is silent, and
// under none does a subscriber delay another.
const (
	// LagDisconnect ends the stream with [ErrLagging]. The client comes back and
	// asks for what it has missed.
	LagDisconnect LagPolicy = "disconnect"

	// LagSkip goes on with the newest event, after a [Gap].
	LagSkip LagPolicy = "skip"

	// LagLatest goes on with the latest event of each topic, after a [Gap].
	LagLatest LagPolicy = "latest"
)

// LossPolicy is what a subscriber gets that asked for events which are gone. If it
// is empty, or "retained", that is a [Gap], and then what there still is.
type LossPolicy string

const lossRetained LossPolicy = "retained"

// The other policies for events that are gone.
const (
	// LossNew is a [Gap], and then only what is new.
	LossNew LossPolicy = "new"

	// LossRefuse is an answer with the status 410 Gone, which ends an EventSource
	// for good. A stream that has begun ends, so that it is asked for again.
	LossRefuse LossPolicy = "refuse"
)

// Match reports whether an event with these topics is selected, Filter aside.
func (s *Selection) Match(topics []string) bool {
	for _, topic := range topics {
		if s.matches(topic) {
			return true
		}
	}
	return false
}

func (s *Selection) matches(topic string) bool {
	if slices.Contains(s.Topics, topic) || topic == defaultTopic && s.isDefault() {
		return true
	}
	for _, pattern := range s.Patterns {
		if pattern.Match(topic) {
			return true
		}
	}
	return false
}

func (s *Selection) isDefault() bool { return len(s.Topics) == 0 && len(s.Patterns) == 0 }

// topicNames are the topics that are selected by name.
func (s *Selection) topicNames() []string {
	if s.isDefault() {
		return defaultTopics
	}
	return s.Topics
}

var defaultTopics = []string{defaultTopic}

// check refuses what cannot be selected.
func (s *Selection) check() error {
	if len(s.Topics)+len(s.Patterns) > maxTopics {
		return &FieldError{Field: "topic", Value: "",
			Reason: "is one of more than 1024 topics and patterns"}
	}
	for _, topic := range s.Topics {
		if err := checkTopic(topic); err != nil {
			return err
		}
	}
	for _, p := range s.Patterns {
		if p == (Pattern{}) {
			return &FieldError{Field: "pattern", Reason: "is the zero Pattern, which matches nothing"}
		}
	}
	switch s.Lag {
	case "", LagDisconnect, LagSkip, LagLatest:
	default:
		return fmt.Errorf("sse: Selection.Lag %q is neither %q, %q nor %q",
			s.Lag, LagDisconnect, LagSkip, LagLatest)
	}
	switch s.Loss {
	case "", lossRetained, LossNew, LossRefuse:
	default:
		return fmt.Errorf("sse: Selection.Loss %q is neither %q, %q nor %q",
			s.Loss, lossRetained, LossNew, LossRefuse)
	}
	return nil
}
