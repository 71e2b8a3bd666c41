// Package matcher compares topics with many topics and patterns at once.
package matcher

import (
	"strings"

	"github.com/sse-go/sse"
)

// New returns a function that reports whether a selection matches an event with a
// topic. Its time depends on the number of segments of the topic, and not on the
// number of topics and patterns of the selection. Several goroutines may call it
// at once.
func New(sel *sse.Selection) func(topic string) bool {
	topics := make(map[string]bool, len(sel.Topics))
	for _, topic := range sel.Topics {
		topics[topic] = true
	}
	if len(sel.Topics)+len(sel.Patterns) == 0 {
		topics[""] = true // the events without a topic
	}
	patterns := &node{}
	for _, p := range sel.Patterns {
		if p != (sse.Pattern{}) { // it matches nothing
			patterns.add(p.String())
		}
	}
	return func(topic string) bool { return topics[topic] || patterns.matches(topic) }
}

// node is a tree of patterns by their segments.
type node struct {
	next map[string]*node
	ends bool // a pattern ends here
}

func (n *node) add(pattern string) {
	for segment := range strings.SplitSeq(pattern, "/") {
		if n.next == nil {
			n.next = map[string]*node{}
		}
		if n.next[segment] == nil {
			n.next[segment] = &node{}
		}
		n = n.next[segment]
	}
	n.ends = true
}

// matches reports whether a pattern below n matches a topic.
func (n *node) matches(topic string) bool {
	if n.next["**"] != nil { // it is always the last segment
		return true
	}
	segment, rest, more := strings.Cut(topic, "/")
	nodes := []*node{n.next["*"], nil}
	if !strings.Contains(segment, "*") { // "*" in a topic is no wildcard
		nodes[1] = n.next[segment]
	}
	for _, next := range nodes {
		if next != nil && (more && next.matches(rest) || !more && next.ends) {
			return true
		}
	}
	return false
}
