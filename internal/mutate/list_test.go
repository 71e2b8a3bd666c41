package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The key of a mutant does not depend on the other lines of the file. If two mutants
// of a function have the same text, their keys have different numbers.
func TestKeys(t *testing.T) {
	const function = "func (p *point) f() {\n\tp.x++\n\tp.x++\n}\n"
	before := findAll(t, "package p\n\ntype point struct{ x int }\n\n"+function)
	after := findAll(t, "package p\n\ntype point struct{ x int }\n\n// More lines.\nfunc g() int { return 1 }\n\n"+function)
	var got, moved []key
	for _, m := range before {
		got = append(got, m.key)
	}
	for _, m := range after {
		if m.function != "g" {
			moved = append(moved, m.key)
		}
	}
	want := []key{{"p.go", "point.f", "p.x++", "(deleted)", 1}, {"p.go", "point.f", "p.x++", "(deleted)", 2}}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(moved, want) {
		t.Errorf("the keys are %q and %q, want %q", got, moved, want)
	}
	if got, want := got[1].String(), "p.go point.f #2\n- p.x++\n+ (deleted)\n"; got != want {
		t.Errorf("the text is %q, want %q", got, want)
	}
}

func TestShares(t *testing.T) {
	mutants := make([]*mutant, 10)
	for i := range mutants {
		mutants[i] = &mutant{line: i}
	}
	var all []int
	for _, text := range []string{"1/3", "2/3", "3/3"} {
		var s share
		if err := s.Set(text); err != nil || s.String() != text {
			t.Fatal(s, err)
		}
		for _, m := range s.selectFrom(mutants) {
			all = append(all, m.line)
		}
	}
	if want := []int{0, 3, 6, 9, 1, 4, 7, 2, 5, 8}; !slices.Equal(all, want) {
		t.Errorf("the shares have %v, want %v", all, want)
	}
	for _, text := range []string{"", "1", "0/3", "4/3", "1/3x", "a/b", "-1/3"} {
		if err := new(share).Set(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// The tests that would make the first part longer than shortRun are the second part.
func TestParts(t *testing.T) {
	const output = "=== RUN   TestA\n--- PASS: TestA (1.50s)\n    --- PASS: TestA/sub (1.50s)\n--- SKIP: TestS (0.00s)\n" +
		"--- PASS: TestB (0.10s)\n--- PASS: FuzzC (0.00s)\n--- PASS: ExampleD (0.60s)\nPASS\n"
	parts := splitTests(output)
	var got []string
	for _, p := range parts {
		got = append(got, p.expression()+" "+p.limit().String())
	}
	if want := []string{"^(FuzzC|TestB|ExampleD)$ 8.5s", "^(TestA)$ 12.5s"}; !slices.Equal(got, want) {
		t.Errorf("the parts are %q, want %q", got, want)
	}
}

func TestEquivalents(t *testing.T) {
	const good = "# comment\n\na.go f\n- x\n+ y\n= because\n= of z\n\na.go T.g #2\n- x\n+ (deleted)\n= never\n"
	list, err := parseEquivalents(good)
	want := []*entry{
		{key: key{"a.go", "f", "x", "y", 1}, reason: "because of z", line: 3},
		{key: key{"a.go", "T.g", "x", "(deleted)", 2}, reason: "never", line: 9},
	}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Fatalf("parsed %+v, %v", list, err)
	}
	for text, want := range map[string]string{
		"a.go f\n- x\n+ y\n":             "must have lines with",
		"a.go f\n- x\n= y\n":             "must have lines with",
		"a.go f\n- x\n- y\n":             "line 3 must begin with",
		"a.go f\nx\n":                    "line 2 must begin with",
		"a.go\n- x\n+ y\n= z\n":          "must be FILE FUNCTION",
		"a.go f #1\n- x\n+ y\n= z\n":     "#1 must be #2 or higher",
		good + "\na.go f\n- x\n+ y\n= z": "must not repeat",
	} {
		if _, err := parseEquivalents(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	m := &mutant{key: list[0].key}
	found, stale := markEquivalents(list, []*mutant{m}, []*file{{rel: "a.go"}})
	if found[m] != list[0] || len(stale) != 1 || stale[0] != list[1] {
		t.Errorf("found %v, stale %v", found, stale)
	}
	if _, stale := markEquivalents(list, nil, []*file{{rel: "b.go"}}); len(stale) != 0 {
		t.Errorf("entries of other files are stale: %v", stale)
	}
}

// The list of equivalent mutants can be parsed.
func TestListOfEquivalents(t *testing.T) {
	text, err := os.ReadFile("equivalent.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseEquivalents(string(text)); err != nil {
		t.Error(err)
	}
}
