package main

import (
	"regexp"
	"sort"
	"strings"
)

// A text is English prose from a file. In prose, spaces join the lines of a
// paragraph, so that a pattern also matches across the end of a line. Newlines
// separate the paragraphs.
type text struct {
	file  string
	prose []byte
	marks []mark // in the order of their offsets
	last  string // the last line that was added
}

// A mark records that the prose from an offset on is from a line of the file.
type mark struct{ offset, line int }

// block matches the beginning of a line that begins a new paragraph: an item of a
// list, a row of a table, a heading, a flag.
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

// continueLine appends s to the last line of prose, without a space: for example
// the second literal of a concatenation. In the file, s is on the given line, which
// may be after the line of the first literal.
func (t *text) continueLine(line int, s string) {
	t.marks = append(t.marks, mark{len(t.prose), line})
	t.prose = append(t.prose, s...)
}

// line returns the number of the file's line from which the prose at an offset is.
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
