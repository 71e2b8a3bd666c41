package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// fixture has four shelves. The shelves left and right are on one floor. The name
// loop stands for the file loop_linux.go.
var fixture = []shelf{
	{name: "low", floor: 1, files: "low"},
	{name: "left", floor: 2, files: "left"},
	{name: "right", floor: 2, files: "right"},
	{name: "high", floor: 3, files: "high loop"},
}

var fixtureFiles = map[string]string{
	"low.go": `package p

type T struct{ n int }

const c = 1

func down() int {
	up()
	up()
	return new(H).size + new(H).lines()
}
`,
	"left.go": `package p

func (T) left() { right() }
`,
	"right.go": `package p

func (*T) right() { T{}.left() }

func right() {}
`,
	"high.go": `package p

type H struct{ size int }

func (H) lines() int { return c }

func up() { var down int; _ = down }

type G[E any] struct{ e E }

func (*G[E]) high() {}
`,
	"loop_linux.go": `package p

func (T) high() { new(G[int]).high() }

func (T) more() { _ = T{}.n }
`,
}

func parse(t *testing.T, files map[string]string) *source {
	t.Helper()
	s := &source{set: token.NewFileSet()}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := parser.ParseFile(s.set, name, files[name], parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, f)
		s.names = append(s.names, name)
	}
	if err := s.check("p", nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMeasure(t *testing.T) {
	at, err := place(fixture)
	if err != nil {
		t.Fatal(err)
	}
	f := measure(parse(t, fixtureFiles), at)
	for _, test := range []struct {
		name      string
		got, want []string
	}{
		{"edges", f.edges, []string{"high.go low.go", "left.go low.go", "left.go right.go",
			"loop_linux.go high.go", "loop_linux.go low.go", "low.go high.go",
			"right.go left.go", "right.go low.go"}},
		{"mutual", f.mutual, []string{"high.go low.go", "left.go right.go"}},
		{"upward", f.upward, []string{
			"low.go:8: low -> high: up in high.go",
			"low.go:10: low -> high: H in high.go",
			"low.go:10: low -> high: field size in high.go",
			"low.go:10: low -> high: H.lines in high.go"}},
		{"sameFloor", f.sameFloor, []string{"left.go:3: left -> right: right in right.go"}},
		{"unknown", f.unknown, nil},
		{"missing", f.missing, nil},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name,
				strings.Join(test.got, "\n     "), strings.Join(test.want, "\n     "))
		}
	}
	if len(f.scattered) != 1 || f.scattered[0].name != "T" || f.scattered[0].methods != 4 ||
		!slices.Equal(f.scattered[0].files, []string{"left.go", "loop_linux.go", "right.go"}) {
		t.Errorf("scattered: got %+v, want T with 4 methods in 3 files", f.scattered)
	}
	if f.functions != 9 || f.p90 != 5 {
		t.Errorf("got %d functions and %d lines, want 9 and 5", f.functions, f.p90)
	}
}

func TestUnknownAndMissingFiles(t *testing.T) {
	at, err := place(fixture)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"doc.go", "low.go", "low_other.go", "loop_linux.go", "new.go"}
	if got, want := at.unknown(files), []string{"new.go"}; !slices.Equal(got, want) {
		t.Errorf("unknown: got %v, want %v", got, want)
	}
	want := []string{"high.go", "left.go", "right.go"}
	if got := at.missing(files); !slices.Equal(got, want) {
		t.Errorf("missing: got %v, want %v", got, want)
	}
}

func TestTable(t *testing.T) {
	if _, err := place(shelves); err != nil {
		t.Error(err)
	}
	if _, err := place([]shelf{{name: "a", files: "x"}, {name: "b", files: "x"}}); err == nil {
		t.Error("a file on two shelves is accepted")
	}
}

func TestLimits(t *testing.T) {
	files := []string{"a.go", "b.go", "c.go", "d.go"}
	for _, test := range []struct {
		name     string
		f        figures
		long     []string
		tests    int
		exceeded bool
	}{
		{"within", figures{upward: make([]string, maxUpward)}, nil, maxTestFiles, false},
		{"upward", figures{upward: make([]string, maxUpward+1)}, nil, 0, true},
		{"mutual", figures{mutual: make([]string, maxMutual+1)}, nil, 0, true},
		{"state", figures{scattered: []scattered{{stateType, 9, files}}}, nil, 0, false},
		{"type", figures{scattered: []scattered{{"T", 9, files}}}, nil, 0, true},
		{"file", figures{}, []string{"a.go: 501 lines"}, 0, true},
		{"tests", figures{}, nil, maxTestFiles + 1, true},
		{"unknown", figures{unknown: files}, nil, 0, true},
		{"missing", figures{missing: files}, nil, 0, true},
	} {
		var b bytes.Buffer
		p := printer{w: &b}
		p.print(&test.f, test.long, test.tests)
		if p.exceeded != test.exceeded {
			t.Errorf("%s: got %v, want %v; output:\n%s", test.name, p.exceeded, test.exceeded, &b)
		}
	}
}
