package segmentlog

import (
	"slices"
	"strings"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
)

// selector finds the entries of segments that a selection matches.
type selector struct {
	all      bool
	topics   []string
	prefixes []string // of the topics that patterns match
	matches  func(topic string) bool
}

// newSelector returns a selector. A nil selection selects everything.
func newSelector(sel *sse.Selection) *selector {
	if sel == nil || slices.ContainsFunc(sel.Patterns, isEverything) {
		return &selector{all: true}
	}
	s := &selector{topics: topicsOf(sel), prefixes: prefixes(sel.Patterns)}
	if len(s.prefixes) > 0 {
		s.matches = matcher.New(sel)
	}
	return s
}

func isEverything(p sse.Pattern) bool { return p.String() == "**" }

// in returns the ordinals of the entries of a segment that are selected and not
// removed. The set is nil if there are none.
func (s *selector) in(segment *segment, idx index) (bitset, error) {
	n := idx.len()
	if n == 0 {
		return nil, nil
	}
	var set bitset
	add := func(list postings) {
		if list.len() == 0 {
			return
		}
		if set == nil {
			set = newBitset(n)
		}
		list.addTo(set)
	}
	if s.all {
		set = newBitset(n)
		for i := range set {
			set[i] = ^uint64(0)
		}
		if n%64 != 0 {
			set[len(set)-1] = ^uint64(0) >> (64 - n%64)
		}
	}
	for _, topic := range s.topics {
		list, err := idx.postings(topic)
		if err != nil {
			return nil, err
		}
		add(list)
	}
	for _, prefix := range s.prefixes {
		if err := idx.topics(prefix, func(topic string, load func() (postings, error)) (bool, error) {
			if !s.matches(topic) {
				return true, nil
			}
			list, err := load()
			add(list)
			return true, err
		}); err != nil {
			return nil, err
		}
	}
	if removed := segment.removed.Load(); removed != nil && set != nil {
		set.remove(*removed)
	}
	return set, nil
}

// prefixes returns the texts with which the topics begin that patterns match. Texts that
// begin with another one are left out.
func prefixes(patterns []sse.Pattern) []string {
	var all []string
	for _, pattern := range patterns {
		if pattern != (sse.Pattern{}) { // the zero Pattern matches nothing
			literal, _, _ := strings.Cut(pattern.String(), "*")
			all = append(all, literal)
		}
	}
	slices.Sort(all)
	var outer []string
	for _, prefix := range all {
		if n := len(outer); n == 0 || !strings.HasPrefix(prefix, outer[n-1]) {
			outer = append(outer, prefix)
		}
	}
	return outer
}
