package sse

import "strings"

// topicNode is a segment of the names of topics.
//
//	room ── 1           room/1, room/1/chat and room/2 are topics,
//	   │    └── chat    room is not
//	   └─── 2
type topicNode struct {
	children map[string]*topicNode
	topic    *topic // whose last segment it is, or nil
}

// add puts a topic into the tree.
func (n *topicNode) add(t *topic) {
	for segment := range strings.SplitSeq(t.name, "/") {
		next := n.children[segment]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*topicNode)
			}
			next = &topicNode{}
			n.children[segment] = next
		}
		n = next
	}
	n.topic = t
}

// remove takes a topic out, and reports whether n is then good for nothing.
func (n *topicNode) remove(name string) bool {
	segment, rest, more := strings.Cut(name, "/")
	child := n.children[segment]
	if child == nil {
		return false
	}
	if more {
		if !child.remove(rest) {
			return false
		}
	} else {
		child.topic = nil
		if len(child.children) > 0 {
			return false
		}
	}
	delete(n.children, segment)
	return len(n.children) == 0 && n.topic == nil
}

// match calls found with every topic that the pattern's rest selects, until it
// returns false. It returns false then.
func (n *topicNode) match(pattern string, found func(*topic) bool) bool {
	segment, rest, more := strings.Cut(pattern, "/")
	switch segment {
	case manySegments:
		return n.all(found)
	case oneSegment:
		for _, child := range n.children {
			if !child.matchRest(rest, more, found) {
				return false
			}
		}
	default:
		if child := n.children[segment]; child != nil {
			return child.matchRest(rest, more, found)
		}
	}
	return true
}

func (n *topicNode) matchRest(rest string, more bool, found func(*topic) bool) bool {
	if more {
		return n.match(rest, found)
	}
	return n.topic == nil || found(n.topic)
}

// all calls found with every topic below n, as match does.
func (n *topicNode) all(found func(*topic) bool) bool {
	for _, child := range n.children {
		if child.topic != nil && !found(child.topic) || !child.all(found) {
			return false
		}
	}
	return true
}

// patternNode is a segment of patterns, of which the subscribed ones are in a
// tree, so that a topic finds those that select it in a time that depends on its
// length.
type patternNode struct {
	children map[string]*patternNode
	chain    *chain // of the pattern whose last segment it is, or nil
}

func (n *patternNode) add(pattern Pattern, c *chain) {
	for segment := range strings.SplitSeq(pattern.text, "/") {
		next := n.children[segment]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*patternNode)
			}
			next = &patternNode{}
			n.children[segment] = next
		}
		n = next
	}
	n.chain = c
}

func (n *patternNode) find(pattern Pattern) *chain {
	for segment := range strings.SplitSeq(pattern.text, "/") {
		if n = n.children[segment]; n == nil {
			return nil
		}
	}
	return n.chain
}

// remove takes a pattern out, and reports whether n is then good for nothing.
func (n *patternNode) remove(pattern string) bool {
	segment, rest, more := strings.Cut(pattern, "/")
	child := n.children[segment]
	if child == nil {
		return false
	}
	if more {
		if !child.remove(rest) {
			return false
		}
	} else {
		child.chain = nil
		if len(child.children) > 0 {
			return false
		}
	}
	delete(n.children, segment)
	return len(n.children) == 0 && n.chain == nil
}

// match appends the chains of all patterns that select the topic.
func (n *patternNode) match(dst []*chain, topic string) []*chain {
	if len(n.children) == 0 {
		return dst
	}
	if many := n.children[manySegments]; many != nil && many.chain != nil {
		dst = append(dst, many.chain)
	}
	segment, rest, more := strings.Cut(topic, "/")
	nodes := [2]*patternNode{n.children[oneSegment], nil}
	if !strings.Contains(segment, "*") { // which no pattern has
		nodes[1] = n.children[segment]
	}
	for _, next := range nodes {
		switch {
		case next == nil:
		case more:
			dst = next.match(dst, rest)
		case next.chain != nil:
			dst = append(dst, next.chain)
		}
	}
	return dst
}
