package sse

import (
	"strings"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// entry is an event in the window (the broker's memory of recent events) or in a
// page that was read from the log. The event is encoded once, and all subscribers
// share the entry. After it was appended to the window, it is read-only except for
// retainedBy and removed.
type entry struct {
	seq          uint64
	time         int64  // in nanoseconds since 1970
	check        uint32 // see Position.Check
	retainedBy   int32  // number of topics that retain it; a topic without a rule always does
	chunkHeadLen uint8  // length of the chunk's size line in framed
	ownID        bool   // the application has set the ID
	removed      bool   // removed from the window
	topics       []*topicState

	// framed is the event in wire format, as a chunk of HTTP/1.1.
	//
	// RFC 9112 7.1: chunk = chunk-size CRLF chunk-data CRLF
	framed []byte
}

// wire returns the event in wire format.
func (e *entry) wire() []byte { return e.framed[e.chunkHeadLen : len(e.framed)-len("\r\n")] }

// bytes returns the event as it is written to a parked stream: as a chunk, or
// without framing for HTTP/1.0.
func (e *entry) bytes(chunked bool) []byte {
	if chunked {
		return e.framed
	}
	return e.wire()
}

// overhead returns about how many bytes of memory the entry takes in addition to
// framed.
func (e *entry) overhead() int64 {
	const entry, perTopic, ownID = 144, 32, 96 // with elements of slices and maps
	n := int64(entry + perTopic*len(e.topics))
	if e.ownID {
		n += ownID
	}
	return n
}

func (e *entry) position(epoch uint64) Position { return Position{epoch, e.seq, e.check} }

func (e *entry) lossMark() lossMark { return lossMark{e.seq, e.check, e.time} }

// topicNames returns the names of the entry's topics.
func (e *entry) topicNames() []string {
	if len(e.topics) == 1 {
		return e.topics[0].nameList[:]
	}
	names := make([]string, len(e.topics))
	for i, t := range e.topics {
		names[i] = t.name
	}
	return names
}

// id returns the event's ID. The wire format of an entry always begins with the ID.
func (e *entry) id() string {
	line, _, _ := strings.Cut(wire.Text(e.wire()), "\n")
	return strings.TrimPrefix(line, idPrefix)
}

// event decodes the wire format. Its strings share memory with the wire format,
// except for data of several lines.
func (e *entry) event() Event {
	var event Event
	rest := wire.Text(e.wire())
	several := false
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			event.ID = value
		case "event":
			event.Type = value
		case "retry":
			event.Retry, _ = wire.ParseRetry(wire.Bytes(value)) // newDraft has written it
		case "data":
			if several {
				return e.eventOfLines(event, value, rest)
			}
			event.Data, several = value, true
		}
	}
	return event
}

// eventOfLines completes an event whose data has several lines: event.Data is the
// first line, second is the second, and rest is the wire format after the second.
// No field follows data.
func (e *entry) eventOfLines(event Event, second, rest string) Event {
	var data strings.Builder
	data.Grow(len(event.Data) + len(second) + len(rest))
	data.WriteString(event.Data)
	for line := range strings.Lines("data: " + second + "\n" + rest) {
		if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: "); ok {
			data.WriteByte('\n')
			data.WriteString(value)
		}
	}
	event.Data = data.String()
	return event
}

// public returns the entry in the form that event logs and filters use. Its ID is
// empty unless the application has set it.
func (e *entry) public(epoch uint64) Entry {
	event := e.event()
	if !e.ownID {
		event.ID = ""
	}
	return Entry{
		Position: e.position(epoch),
		Time:     time.Unix(0, e.time),
		Topics:   e.topicNames(),
		Event:    event,
	}
}

const (
	idPrefix     = "id: "
	maxIDLineLen = len(idPrefix) + maxPositionLen + len("\n") // of a generated ID
)

// appendTopicLine appends the field that names an event's topic, unless it is the
// default topic.
func appendTopicLine(dst []byte, topic string) []byte {
	if topic == defaultTopic {
		return dst
	}
	return wire.AppendField(dst, "topic", topic)
}

// lossMark is the place of the newest entry that a topic, a pattern or a group of
// topics has lost. An entry is lost when subscribers can no longer get it from the
// window or from a log. A subscriber whose cursor is before the mark may have
// missed entries.
type lossMark struct {
	seq   uint64
	check uint32
	time  int64 // latest Time of a lost entry, in nanoseconds since 1970
}

// raise sets the place of m to the place of n if n is newer, and the time of m to
// the later of both times.
func (m *lossMark) raise(n lossMark) {
	latest := max(m.time, n.time)
	if n.seq > m.seq {
		*m = n
	}
	m.time = latest
}
