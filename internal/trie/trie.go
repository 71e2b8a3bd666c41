// Package trie is a tree of names by their segments, which "/" separates. It
// finds the names that a pattern selects, and, where the names are patterns, the
// patterns that select a name.
package trie

import "strings"

// The segments of a pattern that select more than the segment of their own name.
const (
	One  = "*"  // any one segment
	Many = "**" // one or more segments; only at the end of a pattern
)

// A Trie maps names to leaves. Its nodes are tries. The zero Trie is empty. It is
// not safe for concurrent use.
//
//	room ── 1           contains room/1, room/1/chat and room/2,
//	   │    └── chat    but not room
//	   └─── 2
type Trie[T any] struct {
	children map[string]*Trie[T]
	leaf     *T // of the name that ends here, or nil
}

// Add maps name to leaf, which must not be nil.
func (n *Trie[T]) Add(name string, leaf *T) {
	for segment := range strings.SplitSeq(name, "/") {
		next := n.children[segment]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*Trie[T])
			}
			next = &Trie[T]{}
			n.children[segment] = next
		}
		n = next
	}
	n.leaf = leaf
}

// Find returns the leaf of exactly this name, or nil.
func (n *Trie[T]) Find(name string) *T {
	for segment := range strings.SplitSeq(name, "/") {
		if n = n.children[segment]; n == nil {
			return nil
		}
	}
	return n.leaf
}

// Remove removes a name, and reports whether n is empty afterwards and can be
// removed as well.
func (n *Trie[T]) Remove(name string) bool {
	segment, rest, more := strings.Cut(name, "/")
	child := n.children[segment]
	if child == nil {
		return false
	}
	if more {
		if !child.Remove(rest) {
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

// Select calls yield for each leaf whose name the pattern selects, in no order,
// until yield returns false. It reports whether yield never did.
func (n *Trie[T]) Select(pattern string, yield func(*T) bool) bool {
	segment, rest, more := strings.Cut(pattern, "/")
	switch segment {
	case Many:
		return n.selectBelow(yield)
	case One:
		for _, child := range n.children {
			if !child.selectRest(rest, more, yield) {
				return false
			}
		}
	default:
		if child := n.children[segment]; child != nil {
			return child.selectRest(rest, more, yield)
		}
	}
	return true
}

// selectRest is Select for the part of a pattern that follows n's segment. If more
// is false, no part follows.
func (n *Trie[T]) selectRest(rest string, more bool, yield func(*T) bool) bool {
	if more {
		return n.Select(rest, yield)
	}
	return n.leaf == nil || yield(n.leaf)
}

// selectBelow is Select for all names below n.
func (n *Trie[T]) selectBelow(yield func(*T) bool) bool {
	for _, child := range n.children {
		if child.leaf != nil && !yield(child.leaf) || !child.selectBelow(yield) {
			return false
		}
	}
	return true
}

// AppendMatching appends to dst the leaves of the patterns in n that select name.
// Its time depends on the number of segments of name.
func (n *Trie[T]) AppendMatching(dst []*T, name string) []*T {
	if len(n.children) == 0 {
		return dst
	}
	if many := n.children[Many]; many != nil && many.leaf != nil {
		dst = append(dst, many.leaf)
	}
	segment, rest, more := strings.Cut(name, "/")
	nodes := [2]*Trie[T]{n.children[One], nil}
	if !strings.Contains(segment, "*") { // no pattern has such a segment
		nodes[1] = n.children[segment]
	}
	for _, next := range nodes {
		switch {
		case next == nil:
		case more:
			dst = next.AppendMatching(dst, rest)
		case next.leaf != nil:
			dst = append(dst, next.leaf)
		}
	}
	return dst
}
