package sse

import (
	"fmt"
	"slices"
	"time"
)

// Selection describes which events a subscriber receives, and how. The zero
// Selection selects the events that are published without a topic.
type Selection struct {
	// Topics are the topics whose events the subscriber receives. If both Topics
	// and Patterns are empty, the subscriber receives the events that are published
	// without a topic.
	Topics []string

	// Patterns select further topics. If several Topics or Patterns select an
	// event, the subscriber receives the event once.
	Patterns []Pattern

	// Filter, if not nil, is called for each event that Topics and Patterns select,
	// before the event is sent. If it returns false, the subscriber does not receive
	// the event. The calls for one subscriber do not overlap. A slow Filter delays
	// only this stream. A stream with a Filter is not parked, even if [Broker.Park]
	// is set. The entry is shared and must not be modified. An EventLog ignores
	// Filter.
	Filter func(*Entry) bool

	// Key identifies the subscriber's owner, for example a user or a tenant.
	// [Broker.MaxPerKey] limits the number of subscribers with the same Key.
	Key string

	// Lag is the policy for a subscriber that falls too far behind. If empty,
	// [LagDisconnect].
	Lag LagPolicy

	// MaxLag and MaxLagBytes limit the lag of a subscriber: the number of events
	// that it has not received yet, and their bytes on the wire. The limits apply
	// from the moment when the subscriber has first reached the newest event, so a
	// subscriber may start far in the past. An event counts until it is handed to
	// the connection or, on a parked stream, until the connection has accepted all
	// of its bytes. An event counts once for each of the Topics and Patterns that
	// select it. If zero, 4096 events and 16 MiB. If negative, there is no limit,
	// but [Broker.Retention] may remove events before the subscriber receives them.
	MaxLag      int
	MaxLagBytes int64

	// Loss is the policy for a subscriber that asked for events that are no
	// longer available. If empty, [LossRetained].
	Loss LossPolicy

	// WithTopic adds a topic field to each event (see [Event.Topic]). If several of
	// the event's topics are selected, the field has the first of these topics.
	WithTopic bool

	// Cursor is the form in which the client receives its position. If empty,
	// [Broker.Cursor] applies.
	Cursor CursorForm

	// Expires is the time at which the stream ends with [ErrExpired], for
	// example the expiry time of the token that authorized the stream. After
	// Expires, the broker writes no event except [StreamOptions.Final]. A write that
	// is blocked at that time fails. Bytes that are already in the kernel's buffers
	// may still reach the client. If zero, the stream does not expire.
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

	// LossRefuse responds with the status 410 Gone. After this status, a browser's
	// EventSource does not reconnect. If events are lost after the stream has
	// begun, the broker ends the stream. The client then reconnects and receives
	// the 410.
	LossRefuse LossPolicy = "refuse"
)

// CursorForm is the form in which a broker sends a client its position. The position is
// a place in the order of all events: the client has received every selected event up
// to this place. Most events carry the position as their ID. The broker also sends the
// position alone when a stream begins, unless a [Gap] is the first event. Later, the
// broker sends the position alone when a heartbeat is due and the client does not have
// the current position, for example because all newer events have other topics. A
// client that reconnects sends the position back as its last event ID.
type CursorForm string

// The forms of the cursor.
const (
	// CursorEvent is an event of type "sse.cursor" with an ID and empty data. A
	// browser dispatches this event only to listeners for that type, and
	// [Client] hides it. It is the default.
	CursorEvent CursorForm = "event"

	// CursorBlock is an ID without an event. Some clients ignore such an ID.
	CursorBlock CursorForm = "block"

	// CursorComment is a comment line ": cursor ID". It is for clients that treat an
	// ID without an event as an event. A comment does not change the last event ID
	// of a client, so only a program that reads comments can use the position.
	CursorComment CursorForm = "comment"

	// CursorOff sends no position. It is for clients that show every event to the
	// user. With CursorOff and with CursorComment, a client that reconnects sends
	// the ID of the last event that it received. That may be an old position. If
	// the client has not received any event, it sends no ID, so it misses the
	// events that were published while it was disconnected.
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

// Match reports whether the Topics and Patterns select an event that has the given
// topics. It ignores Filter.
func (s *Selection) Match(topics []string) bool {
	if (len(s.Topics)+len(s.Patterns))*len(topics) > matchDirectly {
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

// topicNames returns Topics, or the topic of events without a topic if nothing is
// selected. The caller must not modify the slice.
func (s *Selection) topicNames() []string {
	if s.isDefault() {
		return defaultTopics
	}
	return s.Topics
}

var defaultTopics = []string{defaultTopic}

// check returns an error unless every topic, pattern, policy and cursor form is valid.
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
