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
//
// A node with names below it has two summaries of these names. A summary is a value of
// type S, for example the maximum of a number that each name has. The summary level
// is for the names that have exactly one segment more than the node. The summary below
// is for all names below the node. Only [Trie.Update] changes the summaries, with one
// exception: when the last name below a node is removed, the summaries of the node
// become zero.
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

// Find returns the leaf of name, or nil if n does not contain name. It does not
// treat wildcards specially.
func (n *Trie[T, S]) Find(name string) *T {
	for segment := range strings.SplitSeq(name, "/") {
		if n = n.child(segment); n == nil {
			return nil
		}
	}
	return n.leaf
}

// Remove removes name if n contains it. It reports whether n has become empty, so
// that the caller can remove n too.
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

// Update calls change for each summary that includes the name that ends at n.
func (n *Trie[T, S]) Update(change func(*S)) {
	if n.parent != nil {
		change(&n.parent.level)
	}
	for n = n.parent; n != nil; n = n.parent {
		change(&n.below)
	}
}

// Select calls yield for each leaf whose name the pattern selects, in no particular
// order, and returns true. For the wildcards of the pattern it looks at up to visits
// nodes. If there are more, Select stops and returns false. It may have called yield
// for some leaves before.
func (n *Trie[T, S]) Select(pattern string, visits int, yield func(*T)) bool {
	return n.walk(pattern, &visits, func(match *Trie[T, S]) {
		if match.leaf != nil {
			yield(match.leaf)
		}
	})
}

// walk calls yield for each node that a pattern selects. For each node that it looks at
// because of a wildcard, it subtracts one from visits. If visits becomes negative, walk
// returns false.
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

// visit does the work of walk at the node n, after a segment of the pattern has selected
// n. rest is the part of the pattern after that segment. If more is false, the pattern
// ends at n.
func (n *Trie[T, S]) visit(rest string, more bool, visits *int, yield func(*Trie[T, S])) bool {
	if more {
		return n.walk(rest, visits, yield)
	}
	yield(n)
	return true
}

// Summarize calls leaf for some leaves, and summary for some summaries. Together these
// leaves and summaries cover each name that the pattern selects. If no "*" precedes the
// last segment of the pattern, the cost does not depend on the number of names.
// Otherwise Summarize looks at all nodes that such a "*" selects, and subtracts their
// number from visits. If there are more than visits nodes, the summaries cover other
// names, too.
func (n *Trie[T, S]) Summarize(pattern string, visits *int, leaf func(*T), summary func(*S)) {
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
	case !n.walk(head, visits, yield):
		n.literal(pattern, summary)
	}
}

// literal calls summary with the summary of all names that begin as the pattern does
// before its first wildcard.
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

// AppendMatching appends to dst the leaves of the patterns in n that select name.
// For a name of k segments it visits fewer than 2^(k+1) nodes, however many
// patterns n contains.
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
// yield returns false. It returns false if yield has returned false, and otherwise
// true.
func (n *Trie[T, S]) matching(name string, yield func(*T) bool) bool {
	if n.inner == nil {
		return true
	}
	if many := n.children[Many]; many != nil && many.leaf != nil && !yield(many.leaf) {
		return false
	}
	segment, rest, more := strings.Cut(name, "/")
	nodes := [2]*Trie[T, S]{n.children[One], nil}
	// The name may have a segment "*" or "**". This segment must not find the child of
	// a wildcard here. No other pattern has a segment that contains "*".
	if !strings.Contains(segment, "*") {
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
