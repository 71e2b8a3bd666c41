package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// stream is the output of "go test -json" of a package with a skipped test, a
// skipped subtest, a test that passes, and a package without tests.
const stream = `{"Action":"start","Package":"github.com/sse-go/sse/a"}
{"Action":"run","Package":"github.com/sse-go/sse/a","Test":"TestA"}
{"Action":"output","Package":"github.com/sse-go/sse/a","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"github.com/sse-go/sse/a","Test":"TestA","Output":"    a_test.go:7: no disk\n"}
{"Action":"skip","Package":"github.com/sse-go/sse/a","Test":"TestA","Elapsed":0}
{"Action":"skip","Package":"github.com/sse-go/sse/a","Test":"TestB/sub"}
{"Action":"pass","Package":"github.com/sse-go/sse/a","Test":"TestB"}
{"Action":"output","Package":"github.com/sse-go/sse/a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"github.com/sse-go/sse/a"}
{"Action":"skip","Package":"github.com/sse-go/sse"}
`

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name, list string
		problems   []string // a part of each expected problem
	}{
		{"all are listed", "a TestA needs a disk\na TestB/.* needs a network\n", nil},
		{"one line matches both", "# comment\n\na Test.* for a reason\n", nil},
		{"one is not listed", "a TestA needs a disk",
			[]string{"TestB/sub in a is skipped"}},
		{"of another package", "b Test.* for a reason",
			[]string{"TestA in a is skipped, and the list has no reason for it: a_test.go:7: no disk",
				"TestB/sub in a", "no test that matches ^(?:Test.*)$ in b was skipped"}},
		{"a name must match as a whole", "a Test for a reason",
			[]string{"TestA in a", "TestB/sub in a", "no test that matches"}},
		{"one is no longer skipped", "a Test[AB].* for a reason\na TestC needs a clock",
			[]string{"no test that matches ^(?:TestC)$ in a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := parseList(test.list)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			r := &results{w: &out, output: map[testName]string{}}
			if err := r.read(strings.NewReader(stream)); err != nil {
				t.Fatal(err)
			}
			problems := list.compare(io.Discard, r.skipped)
			if !slices.EqualFunc(problems, test.problems, strings.Contains) {
				t.Errorf("problems %q, want %q", problems, test.problems)
			}
			if got, want := out.String(), "ok  \ta\t0.1s\n"; got != want {
				t.Errorf("printed %q, want %q", got, want)
			}
		})
	}
}

// The output of a failed test is printed, and so is the output of a test whose
// process ended before the test.
func TestFailuresArePrinted(t *testing.T) {
	var out strings.Builder
	r := &results{w: &out, output: map[testName]string{}}
	for _, e := range []event{
		{"output", "p", "TestPasses", "passes\n"}, {"pass", "p", "TestPasses", ""},
		{"output", "p", "TestFails", "fails\n"}, {"fail", "p", "TestFails", ""},
		{"output", "p", "TestPanics", "panics\n"}, {"fail", "p", "", ""},
	} {
		r.add(e)
	}
	if got, want := out.String(), "fails\npanics\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestInvalidList(t *testing.T) {
	for _, text := range []string{"a TestA", "a Test( for a reason"} {
		if _, err := parseList("# comment\n" + text); err == nil ||
			!strings.HasPrefix(err.Error(), "2: ") {
			t.Errorf("%q: %v, want an error with the line", text, err)
		}
	}
}
