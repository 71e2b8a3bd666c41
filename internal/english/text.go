package main

import (
	"regexp"
	"sort"
	"strings"
)

// A text is English prose from a file. The lines of a paragraph are joined
// by spaces, so that a pattern also matches across the end of a line; paragraphs
// are separated by newlines.
type text struct {
	file  string
	prose []byte
	marks []mark
	last  string // the last line that was added
}

// A mark says which line of the file the prose at an offset is from.
type mark struct{ offset, line int }

// block matches the beginning of a line that is not the continuation of the line
// before: an item of a list, a row of a table, a heading, a flag.
var block = regexp.MustCompile(`^(?:[-*+•] |--?\w|\d+[.)] |[|#>])`)

// add appends lines, the first of which has the given number.
func (t *text) add(line int, s string) {
	for i, l := range strings.Split(s, "\n") {
		t.addLine(line+i, strings.TrimSpace(l))
	}
}

func (t *text) addLine(line int, s string) {
	switch {
	case len(t.prose) == 0:
	case s == "" || t.last == "" || block.MatchString(s) || strings.HasPrefix(t.last, "#"):
		t.prose = append(t.prose, '\n')
	default:
		t.prose = append(t.prose, ' ')
	}
	t.last = s
	t.marks = append(t.marks, mark{len(t.prose), line})
	t.prose = append(t.prose, s...)
}

// addAlone appends a line as a paragraph.
func (t *text) addAlone(line int, s string) {
	t.add(line, "")
	t.add(line, s)
	t.add(line, "")
}

// continueLine appends s to the last line: for example the second literal of a
// concatenation. In the file, s may be on a later line than the text before it.
func (t *text) continueLine(line int, s string) {
	t.marks = append(t.marks, mark{len(t.prose), line})
	t.prose = append(t.prose, s...)
}

// line returns the line of the file that has the prose at an offset.
func (t *text) line(offset int) int {
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].offset > offset })
	if i == 0 {
		return 1
	}
	return t.marks[i-1].line
}

// words returns the number of words.
func (t *text) words() int { return len(strings.Fields(string(t.prose))) }

// minWords is the number of words that a literal must have to count as English.
const minWords = 3
