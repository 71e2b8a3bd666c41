package sse

import "time"

// Retention limits how many events of all topics together a [Broker] stores in memory.
// When a limit is exceeded, the oldest events are removed first.
type Retention struct {
	// Events is the maximum number of events. If zero, 16384. If negative, there
	// is no limit.
	Events int

	// Bytes is the maximum size of the events on the wire. If zero, 64 MiB. If
	// negative, there is no limit.
	//
	// The broker needs more memory than that: about 200 bytes for each event, and 1
	// KB for each topic. Each pattern of a subscriber also needs 16 bytes for each
	// event that the pattern selects. Unless Bytes is negative, this overhead has a
	// limit of its own: the value of Bytes, but at least 1 MiB. In addition, the
	// stored events never have more than a million different topics, even if Bytes is
	// negative. If the overhead or the topics exceed their limit, and there is no
	// Log, the broker first removes, of the events that cause most of the overhead,
	// the oldest ones. Such an event has, for example, hundreds of topics.
	Bytes int64

	// Age is the time since publishing after which an event is removed. If zero,
	// there is no limit.
	Age time.Duration
}

// TopicRetention limits how many events of each selected topic a [Broker] stores. When
// a limit is exceeded, the topic's oldest events are removed first.
type TopicRetention struct {
	// Pattern selects the topics. The limits apply to each of these topics
	// separately.
	Pattern Pattern

	// Events is the maximum number of events. If zero, there is no limit.
	Events int

	// Bytes is the maximum size of the events on the wire. If zero, there is no
	// limit.
	Bytes int64

	// Age is the time since publishing after which an event is removed. If zero,
	// there is no limit.
	Age time.Duration
}
