// Package matcher finds out quickly whether a selection of many topics and patterns
// contains a topic.
package matcher

import (
	"strings"

	"github.com/sse-go/sse"
)

// New returns a function that reports whether sel matches an event with this topic. For
// an event without a topic, the topic is "". If sel has only topics, the time of a call
// does not depend on their number. With patterns, the time usually depends only on the
// number of segments of the topic. Patterns such as a/* and */b cost more: each segment
// may double the number of nodes to search. The function is safe for concurrent use.
func New(sel *sse.Selection) func(topic string) bool {
	topics := make(map[string]bool, len(sel.Topics))
	for _, topic := range sel.Topics {
		topics[topic] = true
	}
	if len(sel.Topics)+len(sel.Patterns) == 0 {
		topics[""] = true // an empty selection matches the events without a topic
	}
	patterns := &node{}
	for _, p := range sel.Patterns {
		if p != (sse.Pattern{}) { // the zero Pattern matches nothing
			patterns.add(p.String())
		}
	}
	return func(topic string) bool { return topics[topic] || patterns.matches(topic) }
}

// node is a node in a tree of patterns. The path from the root to a node consists of
// segments: the pattern room/* is at root.next["room"].next["*"].
type node struct {
	next map[string]*node // by segment
	ends bool             // the path from the root to this node is a whole pattern
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
	if n.next["**"] != nil { // always the last segment, so it matches the whole rest
		return true
	}
	segment, rest, more := strings.Cut(topic, "/")
	nodes := []*node{n.next["*"], nil}
	if !strings.Contains(segment, "*") { // the topic "*" is not the wildcard "*"
		nodes[1] = n.next[segment]
	}
	for _, next := range nodes {
		if next != nil && (more && next.matches(rest) || !more && next.ends) {
			return true
		}
	}
	return false
}
