package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// part is a part of the tests of a package.
type part struct {
	names    []string
	duration time.Duration // duration of these tests without a mutant
}

// limit returns how long the tests may take with a mutant.
func (p part) limit() time.Duration { return slowdown*p.duration + grace }

// expression returns the value of -test.run for these tests.
func (p part) expression() string { return "^(" + strings.Join(p.names, "|") + ")$" }

// shortRun is how long the tests of the first part may take together. If all tests
// take longer, the slow tests are the second part. The first part kills most
// mutants, so the second part runs rarely.
const shortRun = 2 * time.Second

// passed matches the line of a test that has passed, with its name and its
// duration in seconds.
var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \((\d+\.\d+)s\)$`)

// splitTests returns the passed tests in the output of "go test -v": as one part, or
// as two parts if they take longer than shortRun.
func splitTests(output string) []part {
	type test struct {
		name    string
		seconds float64
	}
	var tests []test
	for _, match := range passed.FindAllStringSubmatch(output, -1) {
		seconds, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			continue // impossible: the expression matches only numbers
		}
		tests = append(tests, test{match[1], seconds})
	}
	slices.SortStableFunc(tests, func(a, b test) int {
		return int(1000*a.seconds) - int(1000*b.seconds)
	})
	parts := make([]part, 1)
	for _, t := range tests {
		duration := time.Duration(t.seconds * float64(time.Second))
		last := &parts[len(parts)-1]
		if len(parts) == 1 && last.duration+duration > shortRun {
			parts = append(parts, part{})
			last = &parts[1]
		}
		last.names = append(last.names, t.name)
		last.duration += duration
	}
	return parts
}
