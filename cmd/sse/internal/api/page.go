package api

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
)

// The types of the events that a stream or a page has in addition to the published
// events.
const (
	cursorType = "sse.cursor" // its ID is the position up to which the client has read
	gapType    = "sse.gap"    // events are missing; its data is an [sse.Gap]
)

// pageWriter builds a page of stored events: lines of JSON, or an event stream.
type pageWriter struct {
	bytes.Buffer
	sel     *sse.Selection
	selects func(topic string) bool // reports whether sel selects a topic
	json    bool                    // lines of JSON, not an event stream
	asked   string                  // where the request asks to begin, for a gap
	count   int                     // number of stored events on the page
}

// writePage adds the entries that the broker has returned to the page: up to limit
// entries, and none after the page has reached pageBytes. It returns the position
// after which the next page begins. If the log may have removed entries that the client
// has not read, page.Lost is the newest position of such an entry. writePage then adds
// a gap before the first entry after page.Lost. If there is no such entry, it adds the
// gap at the end, unless page.Next is before page.Lost.
func (p *pageWriter) writePage(page *sse.Page, limit int) sse.Position {
	lost := page.Lost
	gapPending := lost != sse.Position{}
	writePendingGap := func() {
		if gapPending {
			p.writeGap(sse.Gap{Asked: p.asked, Available: lost.String(), Why: "trimmed"}, lost)
			gapPending = false
		}
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.Position.Seq > lost.Seq {
			writePendingGap()
		}
		p.writeEntry(e)
		if (i+1 == limit || p.Len() >= pageBytes) && i+1 < len(page.Entries) {
			return e.Position
		}
	}
	if page.Next.Seq >= lost.Seq {
		writePendingGap()
	}
	return page.Next
}

func (p *pageWriter) writeGap(gap sse.Gap, at sse.Position) {
	data, err := json.Marshal(gap)
	if err != nil {
		panic(err) // a Gap has only strings
	}
	event := sse.Event{ID: at.String(), Type: gapType, Data: string(data)}
	if p.json {
		p.writeRecord(eventjson.New(event))
		return
	}
	p.writeEvent(event)
}

// writeEntry adds an entry to the page. A line of JSON contains the topics of the entry
// that sel selects. It does not contain the other topics, because the client may have no
// right to read them. An event stream contains at most the first selected topic.
func (p *pageWriter) writeEntry(e *sse.Entry) {
	p.count++
	event := e.Event
	if event.ID == "" {
		event.ID = e.Position.String()
	}
	if p.json {
		var topics []string
		for _, topic := range e.Topics {
			if p.selects(topic) {
				topics = append(topics, topic)
			}
		}
		object := eventjson.New(event, topics...)
		object.Time = eventjson.FormatTime(e.Time)
		p.writeRecord(object)
		return
	}
	if p.sel.WithTopic {
		if i := slices.IndexFunc(e.Topics, p.selects); i >= 0 {
			event.Topic = e.Topics[i]
		}
	}
	p.writeEvent(event)
}

func (p *pageWriter) writeEvent(event sse.Event) {
	p.Grow(len(event.Data) + 1<<10) // otherwise AppendEvent would allocate a second buffer
	buf, err := sse.AppendEvent(p.AvailableBuffer(), event)
	if err != nil {
		return // impossible: a stored event was checked when it was published
	}
	p.Write(buf)
}

// writeCursor adds the position after which the next page begins. The selection
// decides its form: an event, a comment, or nothing.
func (p *pageWriter) writeCursor(at sse.Position) {
	switch p.sel.Cursor {
	case sse.CursorOff:
	case sse.CursorComment:
		p.WriteString(": cursor " + at.String() + "\n")
	default:
		p.writeEvent(sse.Event{ID: at.String(), Type: cursorType})
	}
}

func (p *pageWriter) writeRecord(rec eventjson.Event) {
	encoder := json.NewEncoder(p)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(rec); err != nil {
		panic(err) // an Event has only strings and a number
	}
}
