package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// expected is a line of the list. It names tests that must be skipped.
type expected struct {
	pkg    string         // relative to the root module
	test   *regexp.Regexp // for the whole name
	reason string
}

type skipList []expected

// parseList parses the lines of a list. Empty lines and lines that begin with #
// are comments.
func parseList(text string) (skipList, error) {
	var list skipList
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%d: a line must have a package, a test and a reason", n)
		}
		test, err := regexp.Compile("^(?:" + fields[1] + ")$")
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		list = append(list, expected{fields[0], test, strings.Join(fields[2:], " ")})
	}
	return list, nil
}

// find returns the index of the first line that lists a test, or -1.
func (l skipList) find(name testName) int {
	for i, e := range l {
		if e.pkg == name.pkg && e.test.MatchString(name.test) {
			return i
		}
	}
	return -1
}

// compare prints each skipped test that is listed, with the reason. It returns one
// sentence for each skipped test that is not listed, and one for each line of the
// list that matches no skipped test.
func (l skipList) compare(w io.Writer, skipped []skip) (problems []string) {
	used := make([]bool, len(l))
	for _, s := range skipped {
		i := l.find(s.testName)
		if i < 0 {
			problems = append(problems, fmt.Sprintf(
				"%s in %s is skipped, and the list has no reason for it: %s", s.test, s.pkg, s.message))
			continue
		}
		used[i] = true
		_, _ = fmt.Fprintf(w, "skipped: %s in %s: %s\n", s.test, s.pkg, l[i].reason)
	}
	for i, e := range l {
		if !used[i] {
			problems = append(problems, fmt.Sprintf(
				"no test that matches %s in %s was skipped: remove the line from the list",
				e.test, e.pkg))
		}
	}
	return problems
}
