package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// exports returns, by import path, the files with the export data of the packages
// that the tested sources import.
var exports = sync.OnceValues(func() (map[string]string, error) {
	out, err := goCommand(".", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}",
		"os", "errors", "strconv")
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return files, err
})

// findAll returns the mutants of a package that consists of one file with the text.
func findAll(t *testing.T, text string) []*mutant {
	t.Helper()
	files, err := exports()
	if err != nil {
		t.Fatal(err)
	}
	s := &source{
		dir: t.TempDir(), path: "p", exports: files,
		files: []*file{{name: "p.go", rel: "p.go", text: text}},
	}
	if err := s.parse(); err != nil {
		t.Fatal(err)
	}
	mutants, err := s.keepCompiling(find(s, s.files), false)
	if err != nil {
		t.Fatal(err)
	}
	return mutants
}

// Each statement has exactly the mutants in want.
func TestMutants(t *testing.T) {
	const loopSkip = "mutantFirst := true; for %s { if mutantFirst { mutantFirst = false; continue };"
	for _, test := range []struct {
		statement string
		want      []string // the changed line of each mutant
	}{
		{"n = n + m", []string{"_ = n + m", "n = n - m"}},
		{"n = n << 3", []string{"_ = n << 3", "n = n >> 3", "n = n << 4", "n = n << 2"}},
		{"n += m", []string{"(deleted)"}},
		{"n++", []string{"(deleted)"}},
		{"n = -m", []string{"_ = -m", "n = m"}},
		{"n = min(n, m)", []string{"_ = min(n, m)", "n = max(n, m)"}},
		{"n = 0", []string{"_ = 0", "n = 1"}},
		{"n = 0x0F", []string{"_ = 0x0F", "n = 0x10", "n = 0xE"}},
		{`s = s + "x"`, []string{`_ = s + "x"`}},
		{"b = true", []string{"_ = true", "b = false"}},
		{"f(n)", []string{"(deleted)"}},
		{"defer f(n)", []string{"(deleted)"}},
		{"go f(n)", []string{"(deleted)"}},
		{"_ = f(n)", []string{"(deleted)"}},
		{"x := n; f(x)", []string{"x := n; _ = x"}},
		{"b = n <= m", []string{"_ = n <= m", "b = (n <= m || true)", "b = ((n <= m) && false)", "b = n < m"}},
		{"b = n < 8", []string{"_ = n < 8", "b = (n < 8 || true)", "b = ((n < 8) && false)", "b = n <= 8", "b = n < 7"}},
		{"b = len(s) > 0", []string{
			"_ = len(s) > 0", "b = (len(s) > 0 || true)", "b = ((len(s) > 0) && false)", "b = len(s) > 1"}},
		{"b = 8 < n", []string{"_ = 8 < n", "b = (8 < n || true)", "b = ((8 < n) && false)", "b = 8 <= n", "b = 9 < n"}},
		{"b = 'b' <= r", []string{"_ = 'b' <= r", "b = ('b' <= r || true)", "b = (('b' <= r) && false)", "b = 'b' < r", "b = 'a' <= r"}},
		{"if b { n, m = m, n; f(n) }", []string{
			"if (b || true) { n, m = m, n; f(n) }", "if ((b) && false) { n, m = m, n; f(n) }",
			"if b { _, _ = m, n; f(n) }", "if b { n, m = m, n; }"}},
		{"if b { f(n) }", []string{"if (b || true) { f(n) }", "if ((b) && false) { f(n) }"}},
		{"if b && (s == t || b) { f(n) }", []string{
			"if (b && (s == t || b) || true) { f(n) }", "if ((b && (s == t || b)) && false) { f(n) }",
			"if (b || true) && (s == t || b) { f(n) }", "if b && ((s == t || b) || true) { f(n) }",
			"if b && (((s == t) && false) || b) { f(n) }", "if b && (s == t || ((b) && false)) { f(n) }"}},
		{"if !(b && s == t) { f(n) }", []string{
			"if (!(b && s == t) || true) { f(n) }", "if ((!(b && s == t)) && false) { f(n) }",
			"if !((b || true) && s == t) { f(n) }", "if !(b && (s == t || true)) { f(n) }"}},
		{"for range list { f(n) }", []string{
			strings.Replace(loopSkip, "%s", "range list", 1) + " f(n) }",
			"mutantFirst := true; for range list { if !mutantFirst { break }; mutantFirst = false; f(n) }",
			"for range list { }"}},
		{"for b { n++ }", []string{
			"mutantFirst := true; for b { if !mutantFirst { break }; mutantFirst = false; n++ }",
			"for ((b) && false) { n++ }", "for b { }"}},
		{"for range list { if b { continue }; f(n) }", []string{
			strings.Replace(loopSkip, "%s", "range list", 1) + " if b { continue }; f(n) }",
			"mutantFirst := true; for range list { if !mutantFirst { break }; mutantFirst = false; if b { continue }; f(n) }",
			"for range list { if (b || true) { continue }; f(n) }", "for range list { if ((b) && false) { continue }; f(n) }",
			"for range list { if b { break }; f(n) }", "for range list { if b { continue }; }"}},
		{"switch n { case m, 7: f(n); default: n = m }", []string{
			"switch n { case 7: f(n); default: n = m }", "switch n { case m: f(n); default: n = m }",
			"switch n { case m, 8: f(n); default: n = m }", "switch n { case m, 6: f(n); default: n = m }",
			"switch n { case m, 7: ; default: n = m }", "switch n { case m, 7: f(n); default: _ = m }"}},
		{"switch { case b: f(n) }", []string{
			"switch { case (b || true): f(n) }", "switch { case ((b) && false): f(n) }", "switch { case b: }"}},
		{"f(len([]string{s, t}))", []string{"(deleted)", "f(len([]string{t}))", "f(len([]string{s}))"}},
		{"p = &point{x: n, y: false}", []string{
			"_ = &point{x: n, y: false}", "p = &point{y: false}", "p = &point{x: n, y: true}"}},
		{"list = make([]string, m, 8)", []string{"_ = make([]string, m, 8)"}},
		{"panic(1)", []string{"(deleted)"}},
		{"return nil", nil},
		{"return f(n)", nil},    // f never fails
		{"return also(n)", nil}, // also never fails
		{"return h(n)", []string{"{ _ = h(n); return nil }"}},
		{"return errors.New(s)", []string{"{ _ = errors.New(s); return nil }"}},
	} {
		text := "package p\n\nimport \"errors\"\n\ntype point struct { x int; y bool }\n\n" +
			"func f(int) error {\n\treturn nil\n}\n\n" +
			"func h(int) error { return errors.ErrUnsupported }\n\n" +
			"func also(n int) error { return f(n) }\n\n" +
			"func g(n, m int, b bool, s, t string, r rune, list []string, p *point) error {\n\t" +
			test.statement + "\n\treturn errors.ErrUnsupported\n}\n"
		var got []string
		for _, m := range findAll(t, text) {
			if m.line == 16 {
				got = append(got, m.new)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(test.want))
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", test.statement, got, want)
		}
	}
}

// A run on a small package prints the report in survivors.txt. Each mutant has the
// same outcome if it has a program by itself.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs many test programs")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	run := func(alone bool, part share) (*report, string) {
		s, err := load(root, "./internal/mutate/testdata/sample")
		if err != nil {
			t.Fatal(err)
		}
		mutants, err := s.keepCompiling(find(s, s.files), alone)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		r := &report{out: &out, config: config{minimum: 95}, mutants: part.selectFrom(mutants)}
		if err := r.test(s, mutants); err != nil {
			t.Fatal(err)
		}
		if r.print() {
			t.Errorf("the tests are good enough:\n%s", &out)
		}
		return r, out.String()
	}
	together, text := run(false, share{1, 1})
	want, err := os.ReadFile("testdata/survivors.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := text[:strings.LastIndex(text, " in ")] + "\n"; got != string(want) { // without the duration
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
	outcomes := map[key]outcome{}
	for m, o := range together.outcomes {
		outcomes[m.key] = o
	}
	alone, _ := run(true, share{3, 8})
	for m, o := range alone.outcomes {
		if o != outcomes[m.key] {
			t.Errorf("alone, this mutant is %s, but it was %s:\n%s", o, outcomes[m.key], m.key)
		}
	}
}
