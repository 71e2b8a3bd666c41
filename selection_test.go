package sse_test

import (
	"testing"

	"github.com/sse-go/sse"
)

func TestSelectionMatch(t *testing.T) {
	patterns := func(texts ...string) (patterns []sse.Pattern) {
		for _, text := range texts {
			patterns = append(patterns, mustPattern(t, text))
		}
		return patterns
	}
	unnamed := []string{""} // the topics of an event that is published without one
	for _, test := range []struct {
		name    string
		sel     sse.Selection
		yes, no [][]string
	}{
		{"zero", sse.Selection{}, [][]string{unnamed}, [][]string{{"a"}, {"*"}, {"a", "b"}}},
		{"empty, not nil", sse.Selection{Topics: []string{}, Patterns: []sse.Pattern{}},
			[][]string{unnamed}, [][]string{{"a"}}},
		{"topic", sse.Selection{Topics: []string{"a"}},
			[][]string{{"a"}, {"b", "a"}}, [][]string{unnamed, {"b"}, {"a/b"}, {"A"}}},
		{"topics", sse.Selection{Topics: []string{"a", "b"}},
			[][]string{{"a"}, {"b"}, {"c", "b"}, {"b", "a"}}, [][]string{unnamed, {"c"}}},
		{"the unnamed and another", sse.Selection{Topics: []string{"", "a"}},
			[][]string{unnamed, {"a"}}, [][]string{{"b"}}},
		{"a topic is no pattern", sse.Selection{Topics: []string{"*", "a/**"}},
			[][]string{{"*"}, {"a/**"}}, [][]string{unnamed, {"a"}, {"a/b"}}},
		{"pattern", sse.Selection{Patterns: patterns("a/*")},
			[][]string{{"a/b"}, {"c", "a/b"}}, [][]string{unnamed, {"a"}, {"a/b/c"}}},
		{"patterns", sse.Selection{Patterns: patterns("a/*", "b/**")},
			[][]string{{"a/b"}, {"b/c/d"}}, [][]string{unnamed, {"a/b/c"}, {"b"}}},
		{"one segment", sse.Selection{Patterns: patterns("*")},
			[][]string{unnamed, {"a"}}, [][]string{{"a/b"}}},
		{"everything", sse.Selection{Patterns: patterns("**")},
			[][]string{unnamed, {"a"}, {"a/b"}, {"*"}, {"/"}}, nil},
		{"topic or pattern", sse.Selection{Topics: []string{"x"}, Patterns: patterns("a/*")},
			[][]string{{"x"}, {"a/b"}, {"y", "x"}}, [][]string{unnamed, {"y"}, {"a"}}},
		{"zero pattern", sse.Selection{Patterns: make([]sse.Pattern, 1)},
			nil, [][]string{unnamed, {"a"}, {"**"}}},
		{"filter aside", sse.Selection{Filter: func(*sse.Entry) bool { panic("called") }},
			[][]string{unnamed}, [][]string{{"a"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, topics := range test.yes {
				if !test.sel.Match(topics) {
					t.Errorf("does not match %q", topics)
				}
			}
			for _, topics := range append(test.no, nil) {
				if test.sel.Match(topics) {
					t.Errorf("matches %q", topics)
				}
			}
		})
	}
}
