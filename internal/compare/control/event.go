package control

import (
	"bytes"
	"strconv"
)

// Event is the content of an event's data. A wave is one event on each topic,
// so the number of an event in its topic equals the number of its wave: 1, 2,
// 3, ….
type Event struct {
	Topic int
	Wave  int64
	Sent  int64 // time by [Now]
}

// mark is the first byte of an Event in data. Some servers wrap the data, and
// send additional data.
const mark = '@'

// padding fills the data up to its size.
var padding = bytes.Repeat([]byte("x"), 4096)

// The size of data is from MinSize, which suffices for all numbers, to MaxSize.
const (
	MinSize = 64
	MaxSize = 4096
)

// AppendEvent appends data of size bytes, from MinSize to MaxSize. The data has
// no characters that JSON or SSE would escape.
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

// ParseEvent returns the event in data, and false if there is none.
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

// number parses digits and the space after them. It is written by hand for
// speed, so that the load client does not become the bottleneck.
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
