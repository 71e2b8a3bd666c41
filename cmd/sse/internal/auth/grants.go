package auth

import (
	"fmt"
	"strings"

	"github.com/sse-go/sse"
)

// Verb is what a grant allows.
type Verb string

// What can be done with a topic.
const (
	Publish   Verb = "publish"
	Subscribe Verb = "subscribe" // to it live, and to read what is kept of it
	Delete    Verb = "delete"    // what is kept of it
)

// Grants are the patterns of topics with which something may be done.
type Grants map[Verb][]sse.Pattern

// everything allows all.
func everything() Grants {
	all, err := sse.ParsePattern("**")
	if err != nil {
		panic(err) // it is one
	}
	patterns := []sse.Pattern{all}
	return Grants{Publish: patterns, Subscribe: patterns, Delete: patterns}
}

// parseGrants reads words such as "publish a b/* subscribe **".
func parseGrants(words []string) (Grants, error) {
	grants := Grants{}
	verb := Verb("")
	for _, word := range words {
		switch v := Verb(word); v {
		case Publish, Subscribe, Delete:
			verb = v
			continue
		}
		if verb == "" {
			return nil, fmt.Errorf("%q is none of publish, subscribe and delete", word)
		}
		pattern, err := sse.ParsePattern(word)
		if err != nil {
			return nil, err
		}
		grants[verb] = append(grants[verb], pattern)
	}
	if len(grants) == 0 {
		return nil, fmt.Errorf("it grants nothing; add for example publish ** subscribe **")
	}
	return grants, nil
}

// topic reports whether the verb is granted for a topic.
func (g Grants) topic(verb Verb, topic string) bool {
	for _, pattern := range g[verb] {
		if pattern.Match(topic) {
			return true
		}
	}
	return false
}

// pattern reports whether the verb is granted for all topics that p selects. What
// only several grants together cover is not: one of them could be taken away.
func (g Grants) pattern(verb Verb, p sse.Pattern) bool {
	for _, granted := range g[verb] {
		if covers(granted.String(), p.String()) {
			return true
		}
	}
	return false
}

// covers reports whether every topic that the second pattern selects is selected
// by the first.
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
