// Package trie is a tree of names. A name consists of segments that "/"
// separates, for example "room/1/chat". [Trie.Select] finds the names that a
// pattern selects. If the names in the tree are themselves patterns,
// [Trie.AppendMatching] finds the patterns that select a name.
package trie

import "strings"

// The wildcards of a pattern. Any other segment of a pattern selects only a
// segment that is equal.
const (
	One  = "*"  // any one segment
	Many = "**" // one or more segments; only at the end of a pattern
)

// A Trie maps each of its names to a leaf, a pointer that the caller has added.
// Each node is itself a Trie. The zero Trie is empty. A Trie is not safe for
// concurrent use.
//
//	room ── 1 ●            The names are room/1, room/1/chat and room/2.
//	   │    └── chat ●     ● marks a node with a leaf. The node room has no
//	   └─── 2 ●            leaf, so room is not a name in this Trie.
type Trie[T any] struct {
	children map[string]*Trie[T] // by the next segment of the name
	leaf     *T                  // of the name that ends here, or nil
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

// Find returns the leaf of name, or nil if n does not contain name. It does not
// treat wildcards specially.
func (n *Trie[T]) Find(name string) *T {
	for segment := range strings.SplitSeq(name, "/") {
		if n = n.children[segment]; n == nil {
			return nil
		}
	}
	return n.leaf
}

// Remove removes name if n contains it. It reports whether n has become empty, so
// that the caller can remove n too.
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

// Select calls yield for each leaf whose name the pattern selects, in no
// particular order. If yield returns false, Select stops and returns false;
// otherwise Select returns true.
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

// selectRest does the work of Select at the node n that the last segment of the
// pattern has selected. rest is the part of the pattern after that segment. If
// more is false, the pattern ends at n.
func (n *Trie[T]) selectRest(rest string, more bool, yield func(*T) bool) bool {
	if more {
		return n.Select(rest, yield)
	}
	return n.leaf == nil || yield(n.leaf)
}

// selectBelow does the work of Select for a pattern that selects all names below n.
func (n *Trie[T]) selectBelow(yield func(*T) bool) bool {
	for _, child := range n.children {
		if child.leaf != nil && !yield(child.leaf) || !child.selectBelow(yield) {
			return false
		}
	}
	return true
}

// AppendMatching appends to dst the leaves of the patterns in n that select name.
// For a name of k segments it visits fewer than 2^(k+1) nodes, however many
// patterns n contains.
func (n *Trie[T]) AppendMatching(dst []*T, name string) []*T {
	if len(n.children) == 0 {
		return dst
	}
	if many := n.children[Many]; many != nil && many.leaf != nil {
		dst = append(dst, many.leaf)
	}
	segment, rest, more := strings.Cut(name, "/")
	nodes := [2]*Trie[T]{n.children[One], nil}
	// A segment "*" or "**" of a name would find the child of a wildcard.
	if !strings.Contains(segment, "*") {
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
