package sse

import "github.com/sse-go/sse/internal/trie"

// matchDirectly is the number of comparisons of a topic with a topic or a pattern up to
// which a topicMatch would cost more than the comparisons.
const matchDirectly = 256

// topicMatch compares topics with many topics and patterns at once. Its cost for a
// topic depends on the number of the topic's segments, and not on the number of topics
// and patterns.
type topicMatch struct {
	names    map[string]bool
	patterns trie.Trie[Pattern, struct{}]
}

// newTopicMatch returns a topicMatch for the topics and patterns of a selection.
func newTopicMatch(sel *Selection) *topicMatch {
	m := &topicMatch{names: make(map[string]bool, len(sel.topicNames()))}
	for _, name := range sel.topicNames() {
		m.names[name] = true
	}
	for i := range sel.Patterns {
		if p := &sel.Patterns[i]; *p != (Pattern{}) { // the zero Pattern matches nothing
			m.patterns.Add(p.text, p)
		}
	}
	return m
}

// topic reports whether one of the topics or patterns selects a topic.
func (m *topicMatch) topic(name string) bool {
	return m.names[name] || m.patterns.Matches(name)
}
