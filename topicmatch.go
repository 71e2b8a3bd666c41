package sse

import (
	"slices"

	"github.com/sse-go/sse/internal/trie"
)

const (
	// matchDirectly is the number of comparisons of a topic with a topic or a pattern
	// up to which a topicMatch would cost more than the comparisons.
	matchDirectly = 256

	// matchFew is the number of topics and patterns up to which topicMatch compares a
	// topic with each of them.
	matchFew = 4
)

// topicMatch compares topics with many topics and patterns at once. Its cost for a
// topic depends on the number of the topic's segments, and not on the number of topics
// and patterns.
type topicMatch struct {
	few      *Selection // compared directly, or nil
	names    map[string]bool
	patterns trie.Trie[Pattern, struct{}]
	known    map[*topicState]bool // results for topics of entries with several topics
}

// newTopicMatch returns a topicMatch for the topics and patterns of a selection.
func newTopicMatch(sel *Selection) *topicMatch {
	if len(sel.topicNames())+len(sel.Patterns) <= matchFew {
		return &topicMatch{few: sel}
	}
	m := &topicMatch{names: make(map[string]bool, len(sel.topicNames()))}
	for _, name := range sel.topicNames() {
		m.names[name] = true
	}
	for i := range sel.Patterns {
		m.patterns.Add(sel.Patterns[i].text, &sel.Patterns[i])
	}
	return m
}

// topic reports whether one of the topics or patterns selects a topic.
func (m *topicMatch) topic(name string) bool {
	if m.few != nil {
		return m.few.matchesTopic(name)
	}
	return m.names[name] || m.patterns.Matches(name)
}

// entry reports whether one of an entry's topics is selected.
func (m *topicMatch) entry(e *entry) bool {
	if len(e.topics) == 1 {
		return m.topic(e.topics[0].name)
	}
	return slices.ContainsFunc(e.topics, func(t *topicState) bool {
		selected, known := m.known[t]
		if !known {
			if m.known == nil {
				m.known = make(map[*topicState]bool)
			}
			selected = m.topic(t.name)
			m.known[t] = selected
		}
		return selected
	})
}
