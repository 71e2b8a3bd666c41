package sse

import "time"

// Retention limits how many events are retained, of all topics together. When a
// limit is exceeded, the oldest events are removed first.
type Retention struct {
	// Events is the maximum number of events. If zero, 16384. If negative, there
	// is no limit.
	Events int

	// Bytes is the maximum size of the events on the wire. If zero, 64 MiB. If
	// negative, there is no limit. The names of their topics and the bookkeeping,
	// about 200 bytes for an event and 1 KB for a topic, may take as much again, or
	// 1 MiB if that is more. In any case, the events have at most a million topics.
	Bytes int64

	// Age is the time since publishing after which an event is removed. If zero,
	// there is no limit.
	Age time.Duration
}

// TopicRetention limits how many events of each topic are retained. When a limit
// is exceeded, the topic's oldest events are removed first.
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
