package sse

import (
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// renderer turns batches into the bytes that are written to streams. A batch is the
// next entries, gap, comment or heartbeat of a subscriber. The fields never change once
// the broker has started.
type renderer struct {
	heartbeat         []byte // a heartbeat in wire format; a cursor may replace it
	needsBeat         bool   // heartbeat is sent even after a cursor (HeartbeatEvent)
	blankAfterComment bool   // an empty line follows a cursor comment (HeartbeatBlock)
	final             *Event // StreamOptions.Final, or nil
}

// preface returns the subscriber's cursor, in wire format, for the beginning of the
// stream. It returns nil if the client wants no cursor, or if a gap follows. A client that had
// received the cursor but not the gap would reconnect with the cursor, and would never
// learn of the gap.
func (r *renderer) preface(s *subscriber) []byte {
	if s.gap != nil || s.opts.cursorForm == CursorOff {
		return nil
	}
	s.sentSeq = s.cursor.Seq
	return r.appendCursor(nil, s.opts.cursorForm, s.cursor)
}

// append appends a batch in wire format, without the entries that the subscriber's
// filter rejects.
func (r *renderer) append(dst []byte, s *subscriber, b *batch) []byte {
	if b.gap != nil {
		return appendGap(dst, b.gap, b.gapPosition)
	}
	start := len(dst)
	for _, e := range b.entries {
		if !s.passesFilter(e, b.epoch) {
			continue
		}
		if s.opts.withTopic {
			dst = appendTopicLine(dst, s.topicOf(e))
		}
		dst = append(dst, e.wire()...)
	}
	sent := len(dst) > start
	dst = append(dst, b.comment...)
	switch {
	case !b.heartbeat || sent:
	case b.cursor != (Position{}) && s.opts.cursorForm != CursorOff:
		dst = r.appendCursor(dst, s.opts.cursorForm, b.cursor)
		if r.needsBeat {
			dst = append(dst, r.heartbeat...)
		}
	default:
		dst = append(dst, r.heartbeat...)
	}
	return dst
}

// appendFramed appends a batch for a parked stream. If chunked is true, the
// batch becomes one chunk of HTTP/1.1. (For held streams, net/http writes the
// chunks.)
func (r *renderer) appendFramed(dst []byte, s *subscriber, b *batch, chunked bool) []byte {
	if !chunked {
		return r.append(dst, s, b)
	}
	return wire.AppendChunk(dst, r.append(nil, s, b))
}

// appendEnd appends the end of a parked stream: a retry field with the time after which
// the client should reconnect, unless retry is zero; StreamOptions.Final, if it is set;
// and the last chunk of the body, if chunked is true.
func (r *renderer) appendEnd(dst []byte, retry time.Duration, chunked bool) []byte {
	var last []byte
	if retry > 0 {
		last = append(wire.AppendRetry(nil, retry), '\n')
	}
	if r.final != nil {
		last, _ = AppendEvent(last, *r.final) // an invalid event appends nothing
	}
	if !chunked {
		return append(dst, last...)
	}
	return append(wire.AppendChunk(dst, last), wire.LastChunk...)
}

// appendCursor appends the position p in the given form: as an event, as a block with
// only an ID, or as a comment.
func (r *renderer) appendCursor(dst []byte, form CursorForm, p Position) []byte {
	if form == CursorComment {
		dst = append(dst, ": cursor "...)
		dst = append(p.appendTo(dst), '\n')
		if r.blankAfterComment {
			dst = append(dst, '\n')
		}
		return dst
	}
	dst = append(dst, idPrefix...)
	dst = append(p.appendTo(dst), '\n')
	if form != CursorBlock {
		dst = append(dst, "event: "+typeCursor+"\ndata: \n"...)
	}
	return append(dst, '\n')
}

// gapEvent returns the event that reports a gap to a subscriber. The ID of the event is
// the text of the parameter at.
func gapEvent(gap *Gap, at Position) Event {
	return Event{ID: at.String(), Type: typeGap, Data: gap.marshal()}
}

func appendGap(dst []byte, gap *Gap, at Position) []byte {
	dst, err := AppendEvent(dst, gapEvent(gap, at))
	if err != nil {
		panic(err) // impossible: this package sets every field
	}
	return dst
}
