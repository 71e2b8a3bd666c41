package control

import (
	"bytes"
	"strconv"
)

// Event is what the data of an event says. One wave is one event on each topic,
// so that an event's number in its topic is that of its wave: 1, 2, 3, ….
type Event struct {
	Topic int
	Wave  int64
	Sent  int64 // by [Now]
}

// mark begins what is ours in the data. Some servers wrap data into more than
// we have given them, and send data of their own.
const mark = '@'

// padding fills an event up to its size.
var padding = bytes.Repeat([]byte("x"), 4096)

// MinSize is room for every number; MaxSize bounds the padding.
const (
	MinSize = 64
	MaxSize = 4096
)

// AppendEvent appends data of size bytes, from MinSize to MaxSize. It has
// nothing that JSON or SSE would escape.
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

// ParseEvent finds the event in data. ok is false if there is none.
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

// number reads digits and the blank after them. It is written by hand since the
// load client must not become the bottleneck.
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

// Pattern selects all topics that Topic names.
const Pattern = "t/*"

// Topic is the name of the topic with a number.
func Topic(number int) string { return "t/" + strconv.Itoa(number) }
