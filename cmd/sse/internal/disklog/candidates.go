package disklog

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/matcher"
)

// candidate is a topic that is selected, and may have entries.
type candidate struct {
	topic string
	last  uint64 // no entry of it is newer
}

// candidates are the topics that are selected and have entries from a number
// on. It gives up, and reports false, when it has looked at more topics than it
// is worth.
func (l *Log) candidates(
	sel *sse.Selection, from, worth uint64,
) (found []candidate, ok bool, err error) {
	seen := map[string]bool{}
	for _, topic := range selected(sel) {
		if seen[topic] {
			continue
		}
		seen[topic] = true
		last, err := l.lastOf(topic)
		if err != nil {
			return nil, false, err
		}
		if last >= from {
			found = append(found, candidate{topic, last})
		}
	}
	looked, matches := uint64(0), matcher.New(sel)
	for _, prefix := range prefixes(sel.Patterns) {
		more, err := l.candidatesIn(prefix, func(topic []byte, last uint64) bool {
			looked++
			if last >= from && !seen[string(topic)] && matches(string(topic)) {
				found = append(found, candidate{string(topic), last})
			}
			return looked <= worth
		})
		if err != nil || !more {
			return nil, false, err
		}
	}
	return found, true, nil
}

// lastOf is the newest entry of a topic, or zero.
func (l *Log) lastOf(topic string) (uint64, error) {
	value, closer, err := l.db.Get(textKey(nil, stateKey, topic))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	var s topicState
	err = s.decode(value)
	return s.last, err
}

// candidatesIn calls each with the topics that begin with prefix, until that
// returns false, which it then returns.
func (l *Log) candidatesIn(
	prefix string, each func(topic []byte, last uint64) bool,
) (bool, error) {
	lower := textKey(nil, stateKey, prefix)
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return false, err
	}
	var s topicState
	for valid := iter.First(); valid; valid = iter.Next() {
		if err := s.decode(iter.Value()); err != nil {
			iter.Close()
			return false, err
		}
		if !each(iter.Key()[1:], s.last) {
			return false, iter.Close()
		}
	}
	return true, iter.Close()
}

// prefixes are what the topics that patterns match begin with, without those that
// begin with another one.
func prefixes(patterns []sse.Pattern) []string {
	var all []string
	for _, pattern := range patterns {
		all = append(all, literal(pattern.String()))
	}
	var outer []string
	for i, prefix := range all {
		inner := false
		for j, other := range all {
			inner = inner || strings.HasPrefix(prefix, other) && (prefix != other || j < i)
		}
		if !inner {
			outer = append(outer, prefix)
		}
	}
	return outer
}

// literal is the part of a pattern before its first segment that is not literal.
func literal(pattern string) string {
	end := strings.IndexByte(pattern, '*')
	if end < 0 {
		return pattern
	}
	return pattern[:end]
}
