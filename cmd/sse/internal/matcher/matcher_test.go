package matcher_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
	"github.com/sse-go/sse/internal/testrand"
)

// For random selections and topics, a matcher returns the same as Selection.Match.
func TestMatcherEqualsMatch(t *testing.T) {
	r := testrand.New(t)
	path := func(segments ...string) string {
		words := make([]string, 1+r.IntN(4))
		for i := range words {
			words[i] = segments[r.IntN(len(segments))]
		}
		return strings.Join(words, "/")
	}
	matched := 0
	const rounds = 20_000
	for range rounds {
		var sel sse.Selection
		for range r.IntN(3) {
			sel.Topics = append(sel.Topics, path("a", "b", "*", "**"))
		}
		for range r.IntN(4) {
			if p, err := sse.ParsePattern(path("a", "b", "*", "**")); err == nil {
				sel.Patterns = append(sel.Patterns, p)
			}
		}
		topic := path("a", "b", "c", "*", "**", "")
		got, want := matcher.New(&sel)(topic), sel.Match([]string{topic})
		if got != want {
			t.Fatalf("%+v and the topic %q: got %v, want %v", sel, topic, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < rounds/10 || matched > rounds*9/10 {
		t.Errorf("%d of %d topics matched: the random cases test too little", matched, rounds)
	}
	zero := sse.Selection{Patterns: make([]sse.Pattern, 1)}
	if (matcher.New(&zero))("a") || !matcher.New(&sse.Selection{})("") || matcher.New(&sse.Selection{})("a") {
		t.Error("the zero Selection matches only the events without a topic, the zero Pattern none")
	}
}

// BenchmarkMatch measures how long it takes to compare a topic with 1024 patterns, with
// a matcher and with Selection.Match.
func BenchmarkMatch(b *testing.B) {
	var sel sse.Selection
	for i := range 1024 {
		p, err := sse.ParsePattern(fmt.Sprintf("room/%d/*", i))
		if err != nil {
			b.Fatal(err)
		}
		sel.Patterns = append(sel.Patterns, p)
	}
	b.Run("matcher", func(b *testing.B) {
		matches := matcher.New(&sel)
		for b.Loop() {
			matches("room/foreign/1")
		}
	})
	b.Run("Selection", func(b *testing.B) {
		topics := []string{"room/foreign/1"}
		for b.Loop() {
			sel.Match(topics)
		}
	})
}
