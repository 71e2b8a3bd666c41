package sse

import "strings"

// trie is a tree of names by their segments. Its nodes are tries.
//
//	room ── 1           room/1, room/1/chat and room/2 are there,
//	   │    └── chat    room is not
//	   └─── 2
type trie[T any] struct {
	children map[string]*trie[T]
	leaf     *T // whose last segment it is, or nil
}

func (n *trie[T]) add(name string, leaf *T) {
	for segment := range strings.SplitSeq(name, "/") {
		next := n.children[segment]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*trie[T])
			}
			next = &trie[T]{}
			n.children[segment] = next
		}
		n = next
	}
	n.leaf = leaf
}

// find returns what has just that name, or nil.
func (n *trie[T]) find(name string) *T {
	for segment := range strings.SplitSeq(name, "/") {
		if n = n.children[segment]; n == nil {
			return nil
		}
	}
	return n.leaf
}

// remove takes a name out, and reports whether n is then good for nothing.
func (n *trie[T]) remove(name string) bool {
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
		child.leaf = nil
		if len(child.children) > 0 {
			return false
		}
	}
	delete(n.children, segment)
	return len(n.children) == 0 && n.leaf == nil
}

// selected calls found with all that the pattern's rest selects, until it returns
// false. It returns false then.
func (n *trie[T]) selected(pattern string, found func(*T) bool) bool {
	segment, rest, more := strings.Cut(pattern, "/")
	switch segment {
	case manySegments:
		return n.below(found)
	case oneSegment:
		for _, child := range n.children {
			if !child.selectedRest(rest, more, found) {
				return false
			}
		}
	default:
		if child := n.children[segment]; child != nil {
			return child.selectedRest(rest, more, found)
		}
	}
	return true
}

func (n *trie[T]) selectedRest(rest string, more bool, found func(*T) bool) bool {
	if more {
		return n.selected(rest, found)
	}
	return n.leaf == nil || found(n.leaf)
}

// below calls found with all below n, as selected does.
func (n *trie[T]) below(found func(*T) bool) bool {
	for _, child := range n.children {
		if child.leaf != nil && !found(child.leaf) || !child.below(found) {
			return false
		}
	}
	return true
}

// selecting appends what is there under patterns that select the topic, in a time that
// depends on its length.
func (n *trie[T]) selecting(dst []*T, topic string) []*T {
	if len(n.children) == 0 {
		return dst
	}
	if many := n.children[manySegments]; many != nil && many.leaf != nil {
		dst = append(dst, many.leaf)
	}
	segment, rest, more := strings.Cut(topic, "/")
	nodes := [2]*trie[T]{n.children[oneSegment], nil}
	if !strings.Contains(segment, "*") { // which no pattern has
		nodes[1] = n.children[segment]
	}
	for _, next := range nodes {
		switch {
		case next == nil:
		case more:
			dst = next.selecting(dst, rest)
		case next.leaf != nil:
			dst = append(dst, next.leaf)
		}
	}
	return dst
}
