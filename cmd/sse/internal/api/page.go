package api

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/sse-go/sse"
)

// The types of the events that a stream or a page has in addition to the
// published events.
const (
	cursorType = "sse.cursor"
	gapType    = "sse.gap"
)

// record is an event as a line of JSON.
type record struct {
	Topics []string `json:"topics,omitempty"`
	ID     string   `json:"id"`
	Type   string   `json:"type"`
	Data   string   `json:"data"`
	Retry  int64    `json:"retry,omitempty"` // milliseconds
	Time   string   `json:"time,omitempty"`
}

// pageWriter builds a page: lines of JSON, or an event stream.
type pageWriter struct {
	bytes.Buffer
	sel   *sse.Selection
	json  bool
	count int // of the events
}

// writePage adds up to limit entries of a page, and a gap at the place where
// events are missing. It returns the position after which the next page begins.
// asked is the position after which the client asked to read.
func (p *pageWriter) writePage(page *sse.Page, limit int, asked string) sse.Position {
	lost := page.Lost
	gapPending := lost != sse.Position{}
	writePendingGap := func() {
		if gapPending {
			p.writeGap(sse.Gap{Asked: asked, Available: lost.String(), Why: "trimmed"}, lost)
			gapPending = false
		}
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.Position.Seq > lost.Seq {
			writePendingGap()
		}
		p.writeEntry(e)
		if i+1 == limit && i+1 < len(page.Entries) {
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
		p.writeRecord(record{ID: event.ID, Type: event.Type, Data: event.Data})
		return
	}
	p.writeEvent(event)
}

// writeEntry adds an entry with its selected topics. It leaves out the other
// topics, because the client may not be allowed to know them.
func (p *pageWriter) writeEntry(e *sse.Entry) {
	p.count++
	event := e.Event
	if event.ID == "" {
		event.ID = e.Position.String()
	}
	var topics []string
	for _, topic := range e.Topics {
		if p.sel.Match([]string{topic}) {
			topics = append(topics, topic)
		}
	}
	if p.json {
		eventType := event.Type
		if eventType == "" {
			eventType = "message"
		}
		p.writeRecord(record{
			Topics: topics, ID: event.ID, Type: eventType, Data: event.Data,
			Retry: event.Retry.Milliseconds(), Time: e.Time.UTC().Format(time.RFC3339Nano),
		})
		return
	}
	if p.sel.WithTopic && len(topics) > 0 {
		event.Topic = topics[0]
	}
	p.writeEvent(event)
}

func (p *pageWriter) writeEvent(event sse.Event) {
	buf, err := sse.AppendEvent(p.AvailableBuffer(), event)
	if err != nil {
		return // impossible: a stored event was checked when it was published
	}
	p.Write(buf)
}

// writeCursor adds the position after which the next page begins, in the form
// that the selection has.
func (p *pageWriter) writeCursor(at sse.Position) {
	switch p.sel.Cursor {
	case sse.CursorOff:
	case sse.CursorComment:
		p.WriteString(": cursor " + at.String() + "\n")
	default:
		p.writeEvent(sse.Event{ID: at.String(), Type: cursorType})
	}
}

func (p *pageWriter) writeRecord(rec record) {
	encoder := json.NewEncoder(p)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(rec); err != nil {
		panic(err) // a record has only strings and a number
	}
}
