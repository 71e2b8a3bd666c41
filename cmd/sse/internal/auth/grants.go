package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sse-go/sse"
)

// Verb is an action on a topic.
type Verb string

// The actions that a key can grant.
const (
	Publish   Verb = "publish"
	Subscribe Verb = "subscribe" // receive new events and read stored events
	Delete    Verb = "delete"    // remove stored events
)

// Grants contains the actions that a key allows. The patterns of an action select the
// topics on which the key allows the action.
type Grants map[Verb][]sse.Pattern

// allGrants allows every action on every topic.
func allGrants() Grants {
	all, err := sse.ParsePattern("**")
	if err != nil {
		panic(err) // impossible: the pattern is valid
	}
	patterns := []sse.Pattern{all}
	return Grants{Publish: patterns, Subscribe: patterns, Delete: patterns}
}

// isVerb reports whether a word of a key is an action.
func isVerb(word string) bool {
	switch Verb(word) {
	case Publish, Subscribe, Delete:
		return true
	}
	return false
}

// parseGrants parses the words of a key after the secret, such as
// "publish a b/* subscribe **". The error contains none of the words.
func parseGrants(words []string) (Grants, error) {
	grants := Grants{}
	verb, number := Verb(""), 0 // number counts the words after verb
	for _, word := range words {
		if isVerb(word) {
			verb, number = Verb(word), 0
			continue
		}
		if verb == "" {
			return nil, errors.New("the third word of a key must be publish, subscribe or delete")
		}
		number++
		pattern, err := sse.ParsePattern(word)
		if err != nil {
			reason := "is not valid"
			if field := (*sse.FieldError)(nil); errors.As(err, &field) {
				reason = field.Reason // Error would also return the word
			}
			return nil, fmt.Errorf("pattern %d after %s %s", number, verb, reason)
		}
		grants[verb] = append(grants[verb], pattern)
	}
	if len(grants) == 0 {
		return nil, errors.New("the key grants nothing; add, for example, publish ** subscribe **")
	}
	return grants, nil
}

// allowsTopic reports whether a pattern in g allows the action for a topic.
func (g Grants) allowsTopic(verb Verb, topic string) bool {
	for _, pattern := range g[verb] {
		if pattern.Match(topic) {
			return true
		}
	}
	return false
}

// allowsPattern reports whether one pattern in g allows the action for all topics that
// p selects. It does not combine patterns: for example, a/* and a/*/** together select
// the topics of a/**, but do not allow the pattern a/**.
func (g Grants) allowsPattern(verb Verb, p sse.Pattern) bool {
	for _, granted := range g[verb] {
		if covers(granted.String(), p.String()) {
			return true
		}
	}
	return false
}

// covers reports whether the pattern wide selects every topic that the pattern narrow
// selects. It compares the patterns segment by segment.
func covers(wide, narrow string) bool {
	for {
		w, restWide, moreWide := strings.Cut(wide, "/")
		n, restNarrow, moreNarrow := strings.Cut(narrow, "/")
		switch {
		case w == "**":
			return true
		case n == "**", w != "*" && w != n, moreWide != moreNarrow:
			return false
		case !moreWide:
			return true
		}
		wide, narrow = restWide, restNarrow
	}
}
