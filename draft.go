package sse

import (
	"math"
	"strings"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// draft is an event in wire format, without the parts that need its position.
// newDraft does most of the work before the broker's lock is acquired. When the
// position is known, entry writes these parts before body, from the back to the front,
// because their lengths vary.
//
//	buf   │ room │ size CR LF │ id: … LF │ event: … data: … LF LF │ CR LF │
//	             start        data       body
//
// The size in hexadecimal and the CR LF at both ends make the event a chunk of
// HTTP/1.1. If the application has set the event's ID, the id line is a part of body,
// and there is no other id line before body.
type draft struct {
	buf   []byte
	body  int  // index of the part that newDraft has encoded
	ownID bool // the application has set the ID, which is part of body
}

// newDraft encodes an event, except an ID that the broker generates. The wire format
// must be able to carry the event (see Event.check and entryFromLog), and the event
// must be normalized (see normalize).
func newDraft(event *Event) draft {
	d := draft{ownID: event.ID != ""}
	// The buffer has little spare room, because the entry may be stored for a long
	// time.
	lineEnds := strings.Count(event.Data, "\n")
	size := maxWireLen(event, lineEnds)
	if !d.ownID {
		d.body = maxIDLineLen
	}
	d.body += wire.HexLen(d.body+size) + len("\r\n")
	d.buf = make([]byte, d.body, d.body+size+len("\r\n"))
	if d.buf = appendMetaFields(d.buf, event); lineEnds == 0 {
		d.buf = wire.AppendField(d.buf, "data", event.Data)
	} else {
		d.buf = wire.AppendLines(d.buf, "data", event.Data)
	}
	d.buf = append(d.buf, "\n\r\n"...)
	return d
}

// entry returns the entry of the draft with a position and a time. It must be
// called only once, because the entry uses the draft's buffer.
func (d *draft) entry(p Position, unixNano int64) *entry {
	e := &entry{seq: p.Seq, check: p.Check, time: unixNano, ownID: d.ownID}
	start := d.body
	if !e.ownID {
		start--
		d.buf[start] = '\n'
		start = p.formatRight(d.buf[:start]) - len(idPrefix)
		copy(d.buf[start:], idPrefix)
	}
	data := start
	start -= copy(d.buf[start-len("\r\n"):], "\r\n")
	for n := len(d.buf) - data - len("\r\n"); n > 0; n >>= 4 {
		start--
		d.buf[start] = "0123456789abcdef"[n&15]
	}
	e.chunkHeadLen = uint8(data - start)
	e.framed = d.buf[start:]
	return e
}

// normalize returns the event in the form in which subscribers receive it. So the
// event is the same in memory, in a log and in wire format.
func normalize(event Event) Event {
	event.Topic, event.LastEventID, event.ClearID = "", "", false
	if strings.IndexByte(event.Data, '\r') >= 0 {
		event.Data = lfReplacer.Replace(event.Data)
	}
	if rest := event.Retry % time.Millisecond; rest > 0 {
		event.Retry -= rest
		if event.Retry <= math.MaxInt64-time.Millisecond {
			event.Retry += time.Millisecond
		}
	}
	return event
}

var lfReplacer = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// maxWireLen returns an upper bound, close to the real value, of the length of a
// normalized event in wire format.
func maxWireLen(event *Event, lineEnds int) int {
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

// entryFromLog converts an Entry of a log to an entry. It leaves out an ID or a
// type that the wire format cannot carry, and a negative Retry. Publish accepts no
// such value, but another program may have written the log. A line end, for example,
// would inject another field into the stream of every subscriber that replays the
// event.
func entryFromLog(x *Entry) *entry {
	event := normalize(x.Event)
	if checkField("id", event.ID) != nil {
		event.ID = ""
	}
	if checkField("event", event.Type) != nil {
		event.Type = ""
	}
	event.Retry = max(event.Retry, 0)
	d := newDraft(&event)
	return d.entry(x.Position, x.Time.UnixNano())
}
