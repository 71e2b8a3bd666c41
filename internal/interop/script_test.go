package interop

import (
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// beat is the type of the heartbeats that are events.
const beat = "ping"

// retry is what the server asks for: less than any client waits on its own, so
// that it is seen to be heard. (Firefox never waits less than half a second.)
const retry = 20 * time.Millisecond

// everything is the script that all clients must read.
func everything() script {
	var s script
	s = append(s, mixtures()...)
	s = append(s, oddities()...)
	s = append(s,
		step{do: heartbeats},
		say(sse.Event{Type: receipt, Data: "cut after an event", ID: "1"}),
		step{do: cut},

		step{do: heartbeats},
	)
	s = append(s, named()...)
	s = append(s,
		say(sse.Event{Type: receipt, Data: "cut inside of an event", ID: "é-ключ-世-😀"}),
	)
	s = append(s, cutWithin(sse.Event{Type: "whole", Data: "all\nof\nit", ID: "7"})...)
	s = append(s,
		step{do: heartbeats},
		say(sse.Event{Data: oneLine(), ID: "one line"}),
		say(sse.Event{Data: manyLines(), ID: "many lines", Retry: retry + time.Millisecond}),
		say(sse.Event{Type: receipt, Data: "a clean end", ID: "8"}),
		step{do: end},
	)
	s = append(s, cursors()...)
	s = append(s, say(sse.Event{Type: receipt, Data: "cut inside of a large event", ID: "9"}))
	s = append(s, cutWithin(sse.Event{Data: oneLine() + "!", ID: "10"})...)
	return append(s, say(sse.Event{Type: done, Data: "the end", ID: "11"}))
}

// cutWithin is an event that is cut, and comes again.
func cutWithin(event sse.Event) script {
	return script{{do: cutInside, event: event}, say(event)}
}

// mixtures are all texts of up to three of a letter and the line ends. They
// have no id, as nothing before them has.
func mixtures() script {
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
		s = append(s, say(sse.Event{Data: text}))
	}
	return s
}

// oddities are texts that a careless encoder or decoder changes.
func oddities() script {
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
		s = append(s, say(sse.Event{Data: text}))
	}
	// Encoding 4.1: each maximal part of what is not UTF-8 becomes one U+FFFD.
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

// named are events with types and ids.
func named() script {
	return script{
		say(sse.Event{Type: "update", Data: "a"}),
		say(sse.Event{Type: "update", Data: ""}),
		say(sse.Event{Type: "message", Data: "by its own name"}),
		say(sse.Event{Type: "größe-世-😀", Data: "b", ID: "2"}),
		say(sse.Event{Type: "with: colon, and blanks", Data: "c", ID: "id: 3"}),
		say(sse.Event{Type: " padded ", Data: "d", ID: " padded "}),
		say(sse.Event{Type: "toString", Data: "e", ID: "__proto__"}),
		say(sse.Event{Type: "\uFEFFx", Data: "f", ID: "x\uFEFF"}),
		say(sse.Event{Data: "no id of its own"}),
		say(sse.Event{Data: "g", ID: strings.Repeat("long", 256)}),
		say(sse.Event{Data: "h", ID: "0"}),
		say(sse.Event{Data: "i", ID: "👍"}),
		say(sse.Event{Data: "retry alone", Retry: retry}),
	}
}

// cursors move the last event ID without an event that a browser would see.
func cursors() script {
	return script{
		say(sse.Event{Type: "sse.cursor", ID: "cursor"}),
		say(sse.Event{Type: receipt, Data: "cut after a cursor"}),
		{do: cut},
		say(sse.Event{Data: "after the cursor", ID: "8.1"}),
		{do: idOnly, event: sse.Event{ID: "alone"}},
		say(sse.Event{Type: receipt, Data: "cut after an id alone"}),
		{do: cut},
	}
}

// megabyte is the size of what is large. It is no multiple of the sizes in which
// networks and readers cut.
const megabyte = 1<<20 + 7

// oneLine is a line of characters of one to four bytes, so that wherever it is
// cut, one of them is.
func oneLine() string {
	const some = "aé世😀"
	return strings.Repeat(some, megabyte/len(some)) + "."
}

func manyLines() string {
	const line = "the quick brown 🦊 jumps over the lazy 🐶\n"
	return strings.Repeat(line, megabyte/len(line))
}
