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

// A Trie maps names to leaves, and summarizes them. Its nodes are tries. The zero Trie
// is empty. It is not safe for concurrent use.
//
//	room ── 1           contains room/1, room/1/chat and room/2,
//	   │    └── chat    but not room
//	   └─── 2
//
// Each node has two summaries of type S: one for the names that have exactly one
// segment more than the node, and one for all names below the node. [Trie.Update]
// changes them. When the last name below a node is removed, its summaries become zero.
type Trie[T, S any] struct {
	*inner[T, S]             // nil if no name is below this node
	leaf         *T          // of the name that ends here, or nil
	parent       *Trie[T, S] // nil at the root
}

// inner is the part of a node that only a node with children has.
type inner[T, S any] struct {
	children     map[string]*Trie[T, S]
	level, below S // summaries
}

// child returns the node of the next segment, or nil.
func (n *Trie[T, S]) child(segment string) *Trie[T, S] {
	if n.inner == nil {
		return nil
	}
	return n.children[segment]
}

// Add maps name to leaf, which must not be nil. It returns the node of the name.
func (n *Trie[T, S]) Add(name string, leaf *T) *Trie[T, S] {
	for segment := range strings.SplitSeq(name, "/") {
		if n.inner == nil {
			n.inner = &inner[T, S]{children: make(map[string]*Trie[T, S])}
		}
		next := n.children[segment]
		if next == nil {
			next = &Trie[T, S]{parent: n}
			n.children[segment] = next
		}
		n = next
	}
	n.leaf = leaf
	return n
}

// Find returns the leaf of exactly this name, or nil.
func (n *Trie[T, S]) Find(name string) *T {
	for segment := range strings.SplitSeq(name, "/") {
		if n = n.child(segment); n == nil {
			return nil
		}
	}
	return n.leaf
}

// Remove removes a name, and reports whether n is empty afterwards and can be
// removed as well.
func (n *Trie[T, S]) Remove(name string) bool {
	segment, rest, more := strings.Cut(name, "/")
	child := n.child(segment)
	if child == nil {
		return false
	}
	if more {
		if !child.Remove(rest) {
			return false
		}
	} else {
		child.leaf = nil
		if child.inner != nil {
			return false
		}
	}
	delete(n.children, segment)
	if len(n.children) > 0 {
		return false
	}
	n.inner = nil
	return n.leaf == nil
}

// Update calls change for each summary that covers the name that ends at n.
func (n *Trie[T, S]) Update(change func(*S)) {
	if n.parent != nil {
		change(&n.parent.level)
	}
	for n = n.parent; n != nil; n = n.parent {
		change(&n.below)
	}
}

// Select calls yield for each leaf whose name the pattern selects, in no order. It
// stops when wildcards have led it to more than visits nodes, and then returns false.
func (n *Trie[T, S]) Select(pattern string, visits int, yield func(*T)) bool {
	return n.walk(pattern, &visits, func(match *Trie[T, S]) {
		if match.leaf != nil {
			yield(match.leaf)
		}
	})
}

// walk calls yield for each node that a pattern selects. It subtracts from visits the
// number of nodes to which wildcards lead, and returns false once visits is negative.
func (n *Trie[T, S]) walk(pattern string, visits *int, yield func(*Trie[T, S])) bool {
	if n.inner == nil {
		return true
	}
	segment, rest, more := strings.Cut(pattern, "/")
	if segment != One && segment != Many {
		if child := n.children[segment]; child != nil {
			return child.visit(rest, more, visits, yield)
		}
		return true
	}
	for _, child := range n.children {
		if *visits--; *visits < 0 {
			return false
		}
		if !child.visit(rest, more, visits, yield) ||
			segment == Many && !child.walk(Many, visits, yield) {
			return false
		}
	}
	return true
}

// visit is walk for the part of a pattern that follows n's segment. If more is
// false, no part follows.
func (n *Trie[T, S]) visit(rest string, more bool, visits *int, yield func(*Trie[T, S])) bool {
	if more {
		return n.walk(rest, visits, yield)
	}
	yield(n)
	return true
}

// Summarize calls leaf and summary for leaves and summaries that together cover every
// name that the pattern selects. Its time depends on the number of segments of the
// pattern, and not on the number of names, unless "*" precedes another segment: then
// it looks at up to visits nodes. Only if these do not suffice, the summaries also
// cover names that the pattern does not select.
func (n *Trie[T, S]) Summarize(pattern string, visits int, leaf func(*T), summary func(*S)) {
	head, last := "", pattern
	if i := strings.LastIndexByte(pattern, '/'); i >= 0 {
		head, last = pattern[:i], pattern[i+1:]
	}
	yield := func(n *Trie[T, S]) {
		switch {
		case n.inner == nil:
		case last == Many:
			summary(&n.below)
		case last == One:
			summary(&n.level)
		default:
			if child := n.children[last]; child != nil && child.leaf != nil {
				leaf(child.leaf)
			}
		}
	}
	switch {
	case last == pattern: // it has one segment
		yield(n)
	case !n.walk(head, &visits, yield):
		n.literal(pattern, summary)
	}
}

// literal calls summary for the names below the longest part of a pattern that has no
// wildcard.
func (n *Trie[T, S]) literal(pattern string, summary func(*S)) {
	for segment := range strings.SplitSeq(pattern, "/") {
		if segment == One || segment == Many {
			summary(&n.below)
			return
		}
		if n = n.child(segment); n == nil || n.inner == nil {
			return
		}
	}
}

// AppendMatching appends to dst the leaves of the patterns in n that select name. It
// looks only at nodes whose patterns begin as the name does.
func (n *Trie[T, S]) AppendMatching(dst []*T, name string) []*T {
	n.matching(name, func(leaf *T) bool {
		dst = append(dst, leaf)
		return true
	})
	return dst
}

// Matches reports whether a pattern in n selects name.
func (n *Trie[T, S]) Matches(name string) bool {
	return !n.matching(name, func(*T) bool { return false })
}

// matching calls yield for the leaf of each pattern in n that selects name, until
// yield returns false. It reports whether yield never did.
func (n *Trie[T, S]) matching(name string, yield func(*T) bool) bool {
	if n.inner == nil {
		return true
	}
	if many := n.children[Many]; many != nil && many.leaf != nil && !yield(many.leaf) {
		return false
	}
	segment, rest, more := strings.Cut(name, "/")
	nodes := [2]*Trie[T, S]{n.children[One], nil}
	if !strings.Contains(segment, "*") { // no pattern has such a segment
		nodes[1] = n.children[segment]
	}
	for _, next := range nodes {
		switch {
		case next == nil:
		case more:
			if !next.matching(rest, yield) {
				return false
			}
		case next.leaf != nil && !yield(next.leaf):
			return false
		}
	}
	return true
}
