package sse

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// entry is an event in the window: encoded once, and shared by all who get it.
// But for gone and wants it is read-only once it has been appended.
type entry struct {
	seq    uint64
	time   int64 // in nanoseconds since 1970
	check  uint32
	wants  int32 // how many of its topics want it kept
	head   uint8 // the length of the chunk's size line in framed
	ownID  bool  // the id is the application's
	gone   bool  // removed from the window
	topics []*topic

	// framed is the event in wire form, as a chunk of HTTP/1.1.
	//
	// RFC 9112 7.1: chunk = chunk-size CRLF chunk-data CRLF
	framed []byte
}

// wire is the event in wire form.
func (e *entry) wire() []byte { return e.framed[e.head : len(e.framed)-len("\r\n")] }

func (e *entry) position(epoch uint64) Position { return Position{epoch, e.seq, e.check} }

func (e *entry) mark() mark { return mark{e.seq, e.check, e.time} }

// names are the names of the entry's topics.
func (e *entry) names() []string {
	if len(e.topics) == 1 {
		return e.topics[0].names[:]
	}
	names := make([]string, len(e.topics))
	for i, t := range e.topics {
		names[i] = t.name
	}
	return names
}

// id is the event's id, with which the wire form begins.
func (e *entry) id() string {
	line, _, _ := strings.Cut(textOf(e.wire()), "\n")
	return strings.TrimPrefix(line, generatedID)
}

// event decodes the wire form. Its texts are parts of that, but for data of
// several lines.
func (e *entry) event() Event {
	var event Event
	rest := textOf(e.wire())
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
			event.Retry, _ = wire.ParseRetry(bytesOf(value)) // we wrote it
		case "data":
			if several {
				return e.eventOfLines(event, value, rest)
			}
			event.Data, several = value, true
		}
	}
	return event
}

// eventOfLines goes on when data has a second line. Data is what comes last.
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

// export is the entry as it is for an EventLog and for filters.
func (e *entry) export(epoch uint64) Entry {
	event := e.event()
	if !e.ownID {
		event.ID = ""
	}
	return Entry{
		Position: e.position(epoch),
		Time:     time.Unix(0, e.time),
		Topics:   e.names(),
		Event:    event,
	}
}

// draft is an event that is encoded as far as it can be before its position is
// known. That needs no lock.
//
//	buf   │ room │ size CR LF │ id: … LF │ event: … data: … LF LF │ CR LF │
//	             start        head        body
//
// What is before the body is written from its end to its front.
type draft struct {
	buf   []byte
	body  int
	crc   uint32
	ownID bool
}

const (
	generatedID  = "id: "
	maxIDLineLen = len(generatedID) + maxPositionLen + len("\n")
)

// checkDraft checks an event that is to be published, whose Topic is ignored, and its
// topics, of which it returns each once.
func checkDraft(event *Event, topics []string) ([]string, error) {
	event.Topic = ""
	topics, err := publishTopics(topics)
	if err != nil {
		return nil, err
	}
	if err := checkPublished(event); err != nil {
		return nil, err
	}
	return topics, event.check()
}

// checkPublished refuses what only a broker may send.
func checkPublished(event *Event) error {
	if isGenerated(event.ID) {
		return &FieldError{Field: "id", Value: event.ID,
			Reason: `begins with "~", as those that a broker gives to events do`}
	}
	if strings.HasPrefix(event.Type, ownTypes) {
		return &FieldError{Field: "event", Value: event.Type,
			Reason: `begins with "sse.", as those of this package do`}
	}
	return nil
}

// publishTopics returns the topics of an event, each once.
func publishTopics(topics []string) ([]string, error) {
	switch len(topics) {
	case 0:
		return defaultTopics, nil
	case 1:
		return topics, checkTopic(topics[0])
	}
	if len(topics) > maxTopics {
		return nil, &FieldError{Field: "topic", Value: topics[maxTopics],
			Reason: "is one too many: an event has at most 1024 topics"}
	}
	unique := make([]string, 0, len(topics))
	for _, topic := range topics {
		if err := checkTopic(topic); err != nil {
			return nil, err
		}
		if !slices.Contains(unique, topic) {
			unique = append(unique, topic)
		}
	}
	return unique, nil
}

// normal is the event as those who receive it see it, so that it is the same in
// memory, in a log and on the wire.
func normal(event Event) Event {
	event.Topic = ""
	if strings.IndexByte(event.Data, '\r') >= 0 {
		event.Data = lineEnds.Replace(event.Data)
	}
	if rest := event.Retry % time.Millisecond; rest > 0 {
		event.Retry -= rest
		if event.Retry <= math.MaxInt64-time.Millisecond {
			event.Retry += time.Millisecond
		}
	}
	return event
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// newDraft encodes all but a generated id. The event must have been checked, and
// be normal.
func newDraft(event *Event, topics []string) draft {
	d := draft{ownID: event.ID != "", crc: checkTexts(topics, event)}
	// As much room as it takes, since it is kept for long.
	lineEnds := strings.Count(event.Data, "\n")
	size := fieldsLen(event, lineEnds)
	if !d.ownID {
		d.body = maxIDLineLen
	}
	d.body += hexLen(d.body+size) + len("\r\n")
	d.buf = make([]byte, d.body, d.body+size+len("\r\n"))
	if d.buf = appendHead(d.buf, event); lineEnds == 0 {
		d.buf = wire.AppendField(d.buf, "data", event.Data)
	} else {
		d.buf = wire.AppendLines(d.buf, "data", event.Data)
	}
	d.buf = append(d.buf, "\n\r\n"...)
	return d
}

// fieldsLen is about how long the wire form of a normal event is, and never less.
func fieldsLen(event *Event, lineEnds int) int {
	const line = len("data: \n")
	n := line + len(event.Data) + lineEnds*(line-1) + len("\n")
	if event.ID != "" {
		n += len("id: \n") + len(event.ID)
	}
	if event.Type != "" {
		n += len("event: \n") + len(event.Type)
	}
	if event.Retry > 0 {
		n += len("retry: 9223372036854\n")
	}
	return n
}

// hexLen is the number of digits of a positive number.
func hexLen(n int) int { return (bits.Len(uint(n)) + 3) / 4 }

// entry completes the draft.
func (d *draft) entry(p Position, unixNano int64) *entry {
	e := &entry{seq: p.Seq, check: p.Check, time: unixNano, ownID: d.ownID}
	start := d.body
	if !e.ownID {
		start--
		d.buf[start] = '\n'
		start = p.prepend(d.buf[:start]) - len(generatedID)
		copy(d.buf[start:], generatedID)
	}
	data := start
	start -= copy(d.buf[start-len("\r\n"):], "\r\n")
	for n := len(d.buf) - data - len("\r\n"); n > 0; n >>= 4 {
		start--
		d.buf[start] = "0123456789abcdef"[n&15]
	}
	e.head = uint8(data - start)
	e.framed = d.buf[start:]
	return e
}

// kept makes an entry of one that comes from a log. What the wire cannot carry, an
// id or a type with line ends that came there some other way, is left out: an
// event that could not be sent would stop all who replay it.
func kept(x *Entry) *entry {
	event := normal(x.Event)
	if checkField("id", event.ID) != nil {
		event.ID = ""
	}
	if checkField("event", event.Type) != nil {
		event.Type = ""
	}
	event.Retry = max(event.Retry, 0)
	d := newDraft(&event, x.Topics)
	return d.entry(x.Position, x.Time.UnixNano())
}

// appendTopicLine appends the field that says on which topic an event came.
func appendTopicLine(dst []byte, topic string) []byte {
	if topic == defaultTopic {
		return dst
	}
	return wire.AppendField(dst, "topic", topic)
}
