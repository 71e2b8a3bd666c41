package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// block is a part of a file that a coverage profile counts as a whole.
type block struct {
	fromLine, fromColumn, toLine, toColumn int
	covered                                bool // the tests run the block
}

// coverage has the blocks of a profile, by the name of the file.
type coverage map[string][]block

// parseProfile parses a coverage profile of one package.
func parseProfile(text string) (coverage, error) {
	c := coverage{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "mode:") {
			continue
		}
		colon := strings.LastIndexByte(line, ':')
		if colon < 0 {
			return nil, fmt.Errorf("%q must be a line of a coverage profile", line)
		}
		var b block
		var statements, count int
		if _, err := fmt.Sscanf(line[colon+1:], "%d.%d,%d.%d %d %d", &b.fromLine, &b.fromColumn,
			&b.toLine, &b.toColumn, &statements, &count); err != nil {
			return nil, fmt.Errorf("%q must be a line of a coverage profile: %w", line, err)
		}
		b.covered = count > 0
		name := filepath.Base(line[:colon])
		c[name] = append(c[name], b)
	}
	return c, nil
}

// covers reports whether the tests run the code at the start of a mutant: the
// smallest block that contains it. The case of a switch, for example, is in no
// block. For such a mutant, covers reports whether the tests run any block of the
// function.
func (c coverage) covers(s *source, m *mutant) bool {
	if m.decl == nil {
		return true
	}
	at := s.set.Position(m.start)
	begin, end := s.set.Position(m.decl.Pos()), s.set.Position(m.decl.End())
	var inner *block
	any := false
	for i, b := range c[m.file.name] {
		if b.contains(at.Line, at.Column) && (inner == nil || b.isWithin(*inner)) {
			inner = &c[m.file.name][i]
		}
		if b.covered && begin.Line <= b.fromLine && b.toLine <= end.Line {
			any = true
		}
	}
	if inner != nil {
		return inner.covered
	}
	return any
}

func (b block) contains(line, column int) bool {
	return (b.fromLine < line || b.fromLine == line && b.fromColumn <= column) &&
		(line < b.toLine || line == b.toLine && column < b.toColumn)
}

func (b block) isWithin(outer block) bool {
	return outer.contains(b.fromLine, b.fromColumn)
}

// measure runs the tests of the package without a mutant, and returns their
// coverage. It returns an error if a test fails.
func (s *source) measure(scratch string) (coverage, error) {
	program := filepath.Join(scratch, "cover.test")
	if err := s.build(nil, program, "-cover", "-covermode=set"); err != nil {
		return nil, err
	}
	profile := filepath.Join(scratch, "cover.out")
	r := runner{dir: s.dir}
	result := r.run(program, 0, coverLimit, "-test.coverprofile="+profile)
	if result.failed {
		return nil, fmt.Errorf("the tests fail without a mutant:\n%s", result.output)
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	return parseProfile(string(text))
}
