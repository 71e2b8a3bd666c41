package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// parts are directories, each of which is one area together with all its
// subdirectories. Every other directory is an area without its subdirectories.
var parts = []string{"cmd/sse", "docs", "examples", "internal", "ssetest"}

// areaOf returns the name of the area of a file that was found under root. If root
// is an absolute path, all its files are in one area, root itself.
func areaOf(root, path string) string {
	if filepath.IsAbs(root) {
		return root
	}
	path = filepath.ToSlash(filepath.Clean(path))
	for _, prefix := range parts {
		if strings.HasPrefix(path, prefix+"/") {
			return prefix
		}
	}
	if dir := filepath.ToSlash(filepath.Dir(path)); dir != "." {
		return dir
	}
	return "root"
}

// An area is a part of the repository. The limits apply to each area
// separately.
type area struct {
	name  string
	words int                 // number of words in all texts of the area
	found [len(kinds)][]match // the matches of each kind
}

// A match is a place at which the pattern of a kind matches. Its text contains
// the words beside the match too.
type match struct {
	file string
	line int
	text string
}

func (a *area) add(texts []*text) {
	for _, t := range texts {
		a.words += t.words()
		prose := string(t.prose)
		for i := range kinds {
			for _, at := range kinds[i].find(prose) {
				a.found[i] = append(a.found[i], match{t.file, t.line(at[0]), around(prose, at)})
			}
		}
	}
}

// print writes the figures of an area. If a kind has too many matches, print also
// lists these matches. It reports whether the area is within all limits.
func (a *area) print(w io.Writer, verbose bool) bool {
	if a.words == 0 {
		return true
	}
	ok := true
	for i, found := range a.found {
		k := &kinds[i]
		per := float64(len(found)) * 1000 / float64(a.words)
		within := per <= k.limit
		ok = ok && within
		if !verbose && (len(found) == 0 || k.limit == unlimited) {
			continue
		}
		_, _ = fmt.Fprintf(w, "%-8s %-30s %4d in %6d words: %.2f per 1,000%s\n",
			a.name, k.name, len(found), a.words, per, k.describeLimit(within))
		if within && !verbose {
			continue
		}
		slices.SortStableFunc(found, func(a, b match) int {
			return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
		})
		for _, m := range found {
			_, _ = fmt.Fprintf(w, "  %s:%d: %s\n", m.file, m.line, m.text)
		}
	}
	return ok
}

func (k *kind) describeLimit(within bool) string {
	switch {
	case k.limit == unlimited:
		return ", no limit"
	case within:
		return ""
	}
	return fmt.Sprintf(", at most %.2f", k.limit)
}

// around returns a match with up to 30 bytes before it and after it, on one line.
func around(prose string, at [2]int) string {
	from := max(0, at[0]-30)
	to := min(len(prose), at[1]+30)
	return strings.ToValidUTF8(strings.Join(strings.Fields(prose[from:to]), " "), "")
}
