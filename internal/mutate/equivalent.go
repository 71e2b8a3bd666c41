package main

import (
	"fmt"
	"strconv"
	"strings"
)

// entry is an entry of the list of equivalent mutants, equivalent.txt. No test can
// kill such a mutant, because it behaves like the original for every caller.
type entry struct {
	key
	reason string
	line   int  // line of the list at which the entry begins
	used   bool // a mutant of this run has the key
}

// parseEquivalents parses the list of equivalent mutants. Each entry is a paragraph:
//
//	FILE FUNCTION [#N]
//	- the old line
//	+ the new line
//	= the reason
//	= its next line
//
// Lines that begin with # are comments.
func parseEquivalents(text string) ([]*entry, error) {
	var list []*entry
	var e *entry
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		mark, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch {
		case line == "":
			e = nil
		case strings.HasPrefix(line, "#"):
		case e == nil:
			e = &entry{line: i + 1}
			if err := e.parseHead(line); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			list = append(list, e)
		case mark == "-" && e.old == "":
			e.old = rest
		case mark == "+" && e.new == "":
			e.new = rest
		case mark == "=":
			e.reason = strings.TrimSpace(e.reason + " " + rest)
		default:
			return nil, fmt.Errorf("line %d must begin with -, + or =; "+
				"an entry has only one line with - and one with +", i+1)
		}
	}
	seen := map[key]bool{}
	for _, e := range list {
		if e.old == "" || e.new == "" || e.reason == "" {
			return nil, fmt.Errorf("the entry at line %d must have lines with -, + and =", e.line)
		}
		if seen[e.key] {
			return nil, fmt.Errorf("the entry at line %d must not repeat an earlier one", e.line)
		}
		seen[e.key] = true
	}
	return list, nil
}

func (e *entry) parseHead(line string) error {
	words := strings.Fields(line)
	e.n = 1
	if len(words) == 3 {
		n, err := strconv.Atoi(strings.TrimPrefix(words[2], "#"))
		if err != nil || words[2][0] != '#' || n < 2 {
			return fmt.Errorf("%s must be #2 or higher", words[2])
		}
		e.n = n
	} else if len(words) != 2 {
		return fmt.Errorf("%q must be FILE FUNCTION or FILE FUNCTION #N", line)
	}
	e.file, e.function = words[0], words[1]
	return nil
}

// markEquivalents returns the entry of each mutant that is in the list. It also
// returns the stale entries: entries that match no mutant, although their file is
// one of files.
func markEquivalents(list []*entry, mutants []*mutant, files []*file) (
	found map[*mutant]*entry, stale []*entry) {
	byKey := map[key]*entry{}
	for _, e := range list {
		byKey[e.key] = e
	}
	found = map[*mutant]*entry{}
	for _, m := range mutants {
		if e := byKey[m.key]; e != nil {
			e.used = true
			found[m] = e
		}
	}
	for _, e := range list {
		for _, f := range files {
			if e.file == f.rel && !e.used {
				stale = append(stale, e)
			}
		}
	}
	return found, stale
}
