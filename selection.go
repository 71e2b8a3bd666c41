package sse

import (
	"fmt"
	"slices"
	"time"
)

// Selection describes which events a subscriber receives, and how. The zero
// Selection selects the events that are published without a topic.
type Selection struct {
	// Topics are the topics whose events the subscriber receives. If both
	// Topics and Patterns are empty, it receives the events without a topic.
	Topics []string

	// Patterns select further topics. An event that several Topics or Patterns
	// select is sent once.
	Patterns []Pattern

	// Filter, if not nil, is called for every event that Topics and Patterns
	// select. If it returns false, the subscriber does not receive the event.
	// Calls for one subscriber do not overlap. A slow Filter delays only this
	// stream. A stream with a Filter is held although [Broker.Park] is set. The
	// entry is shared and must not be modified. An EventLog ignores Filter.
	Filter func(*Entry) bool

	// Key identifies the subscriber's owner, for example a user or a tenant.
	// [Broker.MaxPerKey] limits the number of subscribers with the same Key.
	Key string

	// Lag is the policy for a subscriber that falls too far behind. If empty,
	// [LagDisconnect].
	Lag LagPolicy

	// MaxLag and MaxLagBytes limit how far a subscriber that has caught up may
	// fall behind again. MaxLag is a number of events, MaxLagBytes their bytes
	// on the wire. Events count until they are handed to the connection; on a
	// parked stream, until the connection has accepted them. An event counts once
	// for each of the Topics and Patterns that select it. If zero, 4096 events and
	// 16 MiB. If negative, only the broker's Retention limits the lag.
	MaxLag      int
	MaxLagBytes int64

	// Loss is the policy for a subscriber that asked for events that are no
	// longer available. If empty, [LossRetained].
	Loss LossPolicy

	// WithTopic adds the field topic to each event (see [Event.Topic]). Its
	// value is the first of the event's topics that is selected.
	WithTopic bool

	// Cursor is the form in which the client receives its position. If empty,
	// [Broker.Cursor] applies.
	Cursor CursorForm

	// Expires is the time at which the stream ends with [ErrExpired], for
	// example the expiry time of the token that authorized the stream. From then
	// on, no event is written, except StreamOptions.Final: a write that is blocked
	// at that time is cut. Bytes that are in the kernel's buffers may still reach
	// the client. If zero, the stream does not expire.
	Expires time.Time
}

// LagPolicy is the broker's policy for a subscriber that has fallen too far behind,
// because it reads too slowly or not at all.
type LagPolicy string

// The policies for subscribers that fall behind. Under each policy, the client
// notices that events were skipped or that its stream ended, and a slow
// subscriber delays no other subscriber.
const (
	// LagDisconnect ends the stream with [ErrLagging]. The client reconnects
	// and asks for the events that it missed.
	LagDisconnect LagPolicy = "disconnect"

	// LagSkip sends a [Gap] and continues with the newest event.
	LagSkip LagPolicy = "skip"

	// LagLatest sends a [Gap] and continues with the latest event of each
	// topic.
	LagLatest LagPolicy = "latest"
)

// LossPolicy is the broker's policy for a subscriber that asked for events that
// are no longer available.
type LossPolicy string

// The policies for events that are no longer available.
const (
	// LossRetained sends a [Gap] and then the events that are still available.
	LossRetained LossPolicy = "retained"

	// LossNew sends a [Gap] and then only new events.
	LossNew LossPolicy = "new"

	// LossRefuse responds with the status 410 Gone. After this status, an
	// EventSource does not reconnect. If the stream has already begun, the
	// broker ends it. The client then reconnects and receives the 410.
	LossRefuse LossPolicy = "refuse"
)

// CursorForm is the form in which a broker sends a client its position while no
// event carries one: when a stream begins, and instead of a heartbeat if the
// position has changed. A client that reconnects sends the position back.
type CursorForm string

// The forms of the cursor.
const (
	// CursorEvent is an event of type "sse.cursor" with an ID and empty data. A
	// browser dispatches this event only to listeners for that type, and
	// [Client] hides it. It is the default.
	CursorEvent CursorForm = "event"

	// CursorBlock sends an ID without an event. Some clients ignore such an ID.
	CursorBlock CursorForm = "block"

	// CursorComment is a comment line ": cursor ID". It is for clients that take
	// every block for an event. A comment cannot set the ID that a client sends
	// when it reconnects: only a program that reads comments can use it.
	CursorComment CursorForm = "comment"

	// CursorOff sends no position. It is for clients that show every event. A
	// client that reconnects may then ask for events from an older position than
	// necessary. The same holds for CursorComment.
	CursorOff CursorForm = "off"
)

// isValid reports whether f is empty or one of the forms.
func (f CursorForm) isValid() bool {
	switch f {
	case "", CursorEvent, CursorBlock, CursorComment, CursorOff:
		return true
	}
	return false
}

// Match reports whether the Topics and Patterns select an event with these
// topics. It ignores Filter.
func (s *Selection) Match(topics []string) bool {
	if (len(s.Topics)+len(s.Patterns))*len(topics) > matchSome {
		return slices.ContainsFunc(topics, newTopicMatch(s).topic)
	}
	return slices.ContainsFunc(topics, s.matchesTopic)
}

// matchesTopic reports whether one of the Topics or Patterns selects topic.
func (s *Selection) matchesTopic(topic string) bool {
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

// isDefault reports whether only the events without a topic are selected.
func (s *Selection) isDefault() bool { return len(s.Topics) == 0 && len(s.Patterns) == 0 }

// topicNames returns the topics that are selected by name. The caller must not
// modify them.
func (s *Selection) topicNames() []string {
	if s.isDefault() {
		return defaultTopics
	}
	return s.Topics
}

var defaultTopics = []string{defaultTopic}

// check returns an error unless every topic, pattern and policy is valid.
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
		return fmt.Errorf("sse: Selection.Lag %q: it must be empty, %q, %q or %q",
			s.Lag, LagDisconnect, LagSkip, LagLatest)
	}
	switch s.Loss {
	case "", LossRetained, LossNew, LossRefuse:
	default:
		return fmt.Errorf("sse: Selection.Loss %q: it must be empty, %q, %q or %q",
			s.Loss, LossRetained, LossNew, LossRefuse)
	}
	if !s.Cursor.isValid() {
		return fmt.Errorf("sse: Selection.Cursor %q: it must be empty, %q, %q, %q or %q",
			s.Cursor, CursorEvent, CursorBlock, CursorComment, CursorOff)
	}
	return nil
}
