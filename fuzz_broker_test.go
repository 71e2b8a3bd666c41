package sse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// A position has one text, and a text one position.
func FuzzParsePosition(f *testing.F) {
	for _, test := range positions {
		f.Add(test.text)
	}
	for _, test := range noPositions {
		if len(test.text) < 1<<10 {
			f.Add(test.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		position, err := sse.ParsePosition(text)
		switch got := position.String(); {
		case err != nil:
			if position != (sse.Position{}) {
				t.Errorf("%q: got %#v with the error %v", text, position, err)
			}
		case got != text:
			t.Errorf("%q is the position %#v, whose text is %q", text, position, got)
		case position.Epoch == 0:
			t.Errorf("%q is a position without an epoch", text)
		}
	})
}

// Patterns are what the documentation calls one, and match what it says.
func FuzzParsePattern(f *testing.F) {
	for _, test := range matchCases {
		for _, topic := range append(test.yes, test.no...) {
			f.Add(test.pattern, topic)
		}
	}
	for _, test := range names {
		f.Add(test.text, test.text)
		f.Add("a/**", test.text)
	}
	for _, text := range []string{"**/a", "a*/b", "***", "**/**", "*/**/*"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, text, topic string) {
		comparePattern(t, text, topic)
		isTopic := referenceParse(strings.ReplaceAll(topic, "*", "+"))
		if err := sse.CheckTopic(topic); (err == nil) != isTopic {
			t.Errorf("topic %q: got error %v, want one: %v", topic, err, !isTopic)
		}
	})
}

// A start is one thing only, and within what a log can tell.
func FuzzParseStart(f *testing.F) {
	for _, test := range starts {
		f.Add(test.text)
	}
	for _, text := range noStarts {
		if len(text) < 1<<10 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, err := sse.ParseStart(text)
		var want sse.Start
		switch {
		case err != nil || text == "latest":
		case text == "earliest":
			want.Earliest = true
		case start.Last != 0:
			want.Last = min(max(1, start.Last), 1e9)
		default:
			nano := max(0, start.Time.UnixNano())
			want.Time = time.Unix(0, nano).UTC()
		}
		if start != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, start, err, want)
		}
	})
}
