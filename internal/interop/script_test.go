package interop

import (
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// beat is the type of heartbeats that the server sends as events (see
// [sse.AcceptOptions.HeartbeatEvent]).
const beat = "ping"

// retry is the reconnection delay that the server sets. It is less than the
// default delay of every client, so that its effect is visible. (Firefox waits half
// a second at least, even with a shorter retry.)
const retry = 20 * time.Millisecond

// fullScript returns the script that all clients must read.
func fullScript() script {
	var s script
	s = append(s, lineEndTexts()...)
	s = append(s, unusualTexts()...)
	s = append(s,
		step{do: heartbeats},
		sendStep(sse.Event{Type: receipt, Data: "cut after an event", ID: "1"}),
		step{do: cut},

		step{do: heartbeats},
	)
	s = append(s, namedEvents()...)
	s = append(s,
		sendStep(sse.Event{Type: receipt, Data: "cut inside an event", ID: "é-ключ-世-😀"}),
	)
	s = append(s, cutThenRepeat(sse.Event{Type: "whole", Data: "all\nof\nit", ID: "7"})...)
	s = append(s,
		step{do: heartbeats},
		sendStep(sse.Event{Data: oneLine(), ID: "one line"}),
		sendStep(sse.Event{Data: manyLines(), ID: "many lines", Retry: retry + time.Millisecond}),
		sendStep(sse.Event{Type: receipt, Data: "a clean end", ID: "8"}),
		step{do: end},
	)
	s = append(s, cursors()...)
	s = append(s, sendStep(sse.Event{Type: receipt, Data: "cut inside a large event", ID: "9"}))
	s = append(s, cutThenRepeat(sse.Event{Data: oneLine() + "!", ID: "10"})...)
	return append(s, sendStep(sse.Event{Type: done, Data: "the end", ID: "11"}))
}

// cutThenRepeat returns two steps: the first cuts the connection inside an event, and
// the second sends the whole event.
func cutThenRepeat(event sse.Event) script {
	return script{{do: cutInside, event: event}, sendStep(event)}
}

// lineEndTexts returns events whose data are all texts of up to three pieces. A piece
// is a letter, "\n", "\r" or "\r\n". These events have no ID, and they are at the
// beginning of the script, so they test events with an empty last event ID.
func lineEndTexts() script {
	all, longest := []string{""}, []string{""}
	for range 3 {
		var longer []string
		for _, text := range longest {
			for _, piece := range []string{"a", "\n", "\r", "\r\n"} {
				longer = append(longer, text+piece)
			}
		}
		all, longest = append(all, longer...), longer
	}
	var s script
	for _, text := range all {
		s = append(s, sendStep(sse.Event{Data: text}))
	}
	return s
}

// unusualTexts returns events with texts that a faulty encoder or decoder may change.
func unusualTexts() script {
	texts := []string{
		" ", "  ", " x", "  x", "x ", "\tx", "\t", " \n x",
		":", ":x", ": x", "x:", "x: y", "::", "\n:", ":\n:",
		"id: 99", "id", "event: x", "data", "data: ", "retry: 1", "a\nid: 99\nb", "a\n\nevent: x",
		"grüße, мир, 世界", "é", "e\u0301", "\u00A0", "\u00ADx", "\u200Bx\u200D", "\u202Ex",
		"👍", "👩\u200D👩\u200D👧\u200D👦", "𝕊𝕊𝔼", "\U0010FFFF", "\uFFFD", "\uFFFE",
		"a\u2028b", "a\u2029b", "\u2028", "a\u0085b", "a\vb", "a\fb",
		"a\x00b", "\x00", "\x01\x02\x1B[0m\x7F",
		"a\uFEFFb", "\uFEFF", "\uFEFFa", "a\n\uFEFFb",
		`{"a":[1,2.5,"\u0000\n"],"b":null}`, "<script>alert(1)</script>", "%0A%0D", `\n`,
	}
	s := make(script, 0, len(texts)+4)
	for _, text := range texts {
		s = append(s, sendStep(sse.Event{Data: text}))
	}
	// Encoding 4.1: each maximal ill-formed subpart becomes one U+FFFD.
	for _, broken := range [][2]string{
		{"a\xFFb", "a\uFFFDb"},
		{"\xFE\xFF", "\uFFFD\uFFFD"},
		{"\xE2\x82|", "\uFFFD|"},
		{"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"\xF0\x9F\x98", "\uFFFD"},
	} {
		s = append(s, step{do: send, event: sse.Event{Data: broken[0]}, want: broken[1]})
	}
	return s
}

// namedEvents returns events with types and ids.
func namedEvents() script {
	return script{
		sendStep(sse.Event{Type: "update", Data: "a"}),
		sendStep(sse.Event{Type: "update", Data: ""}),
		sendStep(sse.Event{Type: "message", Data: "with the default type"}),
		sendStep(sse.Event{Type: "größe-世-😀", Data: "b", ID: "2"}),
		sendStep(sse.Event{Type: "with: colon, and blanks", Data: "c", ID: "id: 3"}),
		sendStep(sse.Event{Type: " padded ", Data: "d", ID: "in the  middle"}),
		sendStep(sse.Event{Type: "toString", Data: "e", ID: "__proto__"}),
		sendStep(sse.Event{Type: "\uFEFFx", Data: "f", ID: "x\uFEFF"}),
		sendStep(sse.Event{Data: "no id of its own"}),
		sendStep(sse.Event{Data: "g", ID: strings.Repeat("long", 256)}),
		sendStep(sse.Event{Data: "h", ID: "0"}),
		sendStep(sse.Event{Data: "i", ID: "👍"}),
		sendStep(sse.Event{Data: "retry alone", Retry: retry}),
	}
}

// cursors returns steps that change the last event ID without an event that a page
// receives: an event of the type sse.cursor, and a block that has only an ID.
func cursors() script {
	return script{
		sendStep(sse.Event{Type: "sse.cursor", ID: "cursor"}),
		sendStep(sse.Event{Type: receipt, Data: "cut after a cursor"}),
		{do: cut},
		sendStep(sse.Event{Data: "after the cursor", ID: "8.1"}),
		{do: idOnly, event: sse.Event{ID: "alone"}},
		sendStep(sse.Event{Type: receipt, Data: "cut after an id alone"}),
		{do: cut},
	}
}

// megabyte is the size of large data in bytes. It is not a multiple of any usual
// buffer size, so that buffers end inside events.
const megabyte = 1<<20 + 7

// oneLine returns a line of about a megabyte. Most of its characters have several
// bytes, so a cut at a random offset probably splits a character.
func oneLine() string {
	const some = "aé世😀"
	return strings.Repeat(some, megabyte/len(some)) + "."
}

// manyLines returns a text of many lines of about a megabyte.
func manyLines() string {
	const line = "the quick brown 🦊 jumps over the lazy 🐶\n"
	return strings.Repeat(line, megabyte/len(line))
}
