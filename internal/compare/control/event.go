package control

import (
	"bytes"
	"strconv"
)

// Event is the content of an event's data. The events are published in waves. A wave
// is one event on each topic. So the number of a wave, 1, 2, 3, …, is also the number
// of its event within each topic.
type Event struct {
	Topic int
	Wave  int64
	Sent  int64 // time of publishing, by [Now]
}

// mark is the first byte of an Event in data. Some servers wrap the data in other
// text, or send events with other data.
const mark = '@'

// padding is the text that fills the data up to its size.
var padding = bytes.Repeat([]byte("x"), 4096)

// The limits for the size of data in bytes. All numbers of an event fit in MinSize.
const (
	MinSize = 64
	MaxSize = 4096
)

// AppendEvent appends the data of the event e, which has size bytes. The size must be
// from MinSize to MaxSize. The data has no characters that JSON or SSE would escape.
func AppendEvent(buf []byte, e Event, size int) []byte {
	start := len(buf)
	buf = append(buf, mark)
	buf = strconv.AppendInt(buf, int64(e.Topic), 10)
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, e.Wave, 10)
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, e.Sent, 10)
	buf = append(buf, ' ')
	if missing := size - (len(buf) - start); missing > 0 {
		buf = append(buf, padding[:missing]...)
	}
	return buf
}

// ParseEvent returns the event that data contains. It returns false if data contains
// none.
func ParseEvent(data []byte) (e Event, ok bool) {
	at := bytes.IndexByte(data, mark)
	if at < 0 {
		return Event{}, false
	}
	topic, data, ok1 := number(data[at+1:])
	wave, data, ok2 := number(data)
	sent, _, ok3 := number(data)
	return Event{int(topic), wave, sent}, ok1 && ok2 && ok3
}

// number parses digits and the space after them. It does not use package strconv,
// because the load client must not become the bottleneck.
func number(data []byte) (n int64, rest []byte, ok bool) {
	for i, c := range data {
		switch {
		case c >= '0' && c <= '9' && i < 19:
			n = n*10 + int64(c-'0')
		case c == ' ' && i > 0:
			return n, data[i+1:], true
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// Pattern matches all topics that Topic returns.
const Pattern = "t/*"

// Topic returns the name of a topic.
func Topic(number int) string { return "t/" + strconv.Itoa(number) }
