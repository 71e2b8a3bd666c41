package trie_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse/internal/testrand"
	"github.com/sse-go/sse/internal/trie"
)

// matches reports whether pattern selects name. It defines the expected result
// without a trie.
func matches(pattern, name string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(name, "/")
	for i, segment := range want {
		switch {
		case segment == trie.Many && i == len(want)-1:
			return len(got) > i
		case i == len(got) || segment != trie.One && segment != got[i]:
			return false
		}
	}
	return len(got) == len(want)
}

// randomPath returns a path of one to four segments, each drawn from segments.
func randomPath(r *rand.Rand, segments ...string) string {
	path := make([]string, 1+r.IntN(4))
	for i := range path {
		path[i] = segments[r.IntN(len(segments))]
	}
	return strings.Join(path, "/")
}

func randomPattern(r *rand.Rand) string {
	p := randomPath(r, "a", "b", "c", trie.One)
	if r.IntN(3) == 0 {
		p += "/" + trie.Many
	}
	return p
}

// After each random Add or Remove, the trie finds the same names as a loop over
// all names that calls matches.
func TestTrieFindsWhatALoopFinds(t *testing.T) {
	r := testrand.New(t)
	var names, patterns trie.Trie[string, int]
	allNames, allPatterns := map[string]bool{}, map[string]bool{}
	update := func(tr *trie.Trie[string, int], all map[string]bool, path string) {
		if r.IntN(3) == 0 {
			tr.Remove(path)
			delete(all, path)
		} else {
			tr.Add(path, &path)
			all[path] = true
		}
	}
	rounds := 20_000
	if testing.Short() {
		rounds = 2000
	}
	for range rounds {
		update(&names, allNames, randomPath(r, "a", "b", "c"))
		update(&patterns, allPatterns, randomPattern(r))

		pattern := randomPattern(r)
		var got, want []string
		if !names.Select(pattern, 1000, func(name *string) { got = append(got, *name) }) {
			t.Fatal("Select returned false although yield never did")
		}
		for name := range allNames {
			if matches(pattern, name) {
				want = append(want, name)
			}
		}
		check(t, "Select "+pattern, got, want)

		name := randomPath(r, "a", "b", "c")
		got, want = nil, nil
		for _, p := range patterns.AppendMatching(nil, name) {
			got = append(got, *p)
		}
		for p := range allPatterns {
			if matches(p, name) {
				want = append(want, p)
			}
		}
		check(t, "AppendMatching "+name, got, want)

		if leaf := names.Find(name); (leaf != nil) != allNames[name] || leaf != nil && *leaf != name {
			t.Fatalf("Find %s found the name: %v, want %v", name, leaf != nil, allNames[name])
		}
	}
}

func check(t *testing.T, call string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\ngot  %q\nwant %q", call, got, want)
	}
}

// Select returns false when wildcards lead it to too many nodes. Segments without a
// wildcard do not count.
func TestSelectStops(t *testing.T) {
	var names trie.Trie[string, int]
	for i := range 10 {
		name := fmt.Sprint("a/", i)
		names.Add(name, &name)
	}
	for _, c := range []struct {
		pattern string
		visits  int
		want    int
		all     bool
	}{
		{"a/*", 10, 10, true}, {"a/*", 9, 9, false},
		{"a/**", 10, 10, true}, {"a/**", 9, 9, false},
		{"**", 11, 10, true}, {"**", 10, 9, false},
		{"*/*", 11, 10, true}, {"*/*", 10, 9, false},
		{"a/3", 0, 1, true}, {"*/3", 1, 1, true}, {"*/3", 0, 0, false},
	} {
		got := 0
		all := names.Select(c.pattern, c.visits, func(*string) { got++ })
		if got != c.want || all != c.all {
			t.Errorf("Select(%q) with %d visits: %d leaves, all: %v; want %d, %v",
				c.pattern, c.visits, got, all, c.want, c.all)
		}
	}
}

// The summaries and leaves of a pattern cover exactly the names that it selects. With
// too few visits they cover at least these.
func TestSummarize(t *testing.T) {
	r := testrand.New(t)
	type set = map[string]bool
	var names trie.Trie[string, set]
	all := set{}
	for range 200 {
		name := randomPath(r, "a", "b", "c", "d")
		if all[name] {
			names.Remove(name)
			delete(all, name)
		} else {
			names.Add(name, &name).Update(func(s *set) {
				if *s == nil {
					*s = set{}
				}
				(*s)[name] = true
			})
			all[name] = true
		}
		pattern := randomPattern(r)
		for _, visits := range []int{1000, 2} {
			got, left := set{}, visits
			names.Summarize(pattern, &left, func(leaf *string) { got[*leaf] = true }, func(s *set) {
				for name := range *s {
					got[name] = true
				}
			})
			for name := range all {
				if matches(pattern, name) && !got[name] {
					t.Fatalf("%s with %d visits: %s is not covered", pattern, visits, name)
				}
			}
			for name := range got {
				// A summary does not forget a removed name while other names are below its node.
				if all[name] && !matches(pattern, name) && visits == 1000 {
					t.Fatalf("%s: %s is covered", pattern, name)
				}
			}
		}
	}
}

// Remove reports true only when it removes the last name. Select then finds no
// name.
func TestRemoveReportsEmpty(t *testing.T) {
	var names trie.Trie[string, int]
	leaf := "a/b"
	names.Add("a/b", &leaf)
	names.Add("a", &leaf)
	for _, step := range []struct {
		name  string
		empty bool
	}{{"c", false}, {"a/b/c", false}, {"a/b", false}, {"a", true}} {
		if got := names.Remove(step.name); got != step.empty {
			t.Errorf("Remove(%q) reported empty: %v, want %v", step.name, got, step.empty)
		}
	}
	names.Select(trie.Many, 10, func(name *string) { t.Errorf("found %s in an empty trie", *name) })
	visits := 10
	names.Summarize(trie.Many, &visits, nil, func(*int) { t.Error("an empty trie has a summary") })
}
