package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

const root = "../.." // of the repository

// A pattern of -run, -skip or -bench that matches no test has no effect, and the go
// command does not report it. So each alternative of each pattern in the Makefile
// and in .ci must match a test of the packages on its line.
func TestPatternsMatch(t *testing.T) {
	tests := readTests(t)
	scripts, err := filepath.Glob(root + "/.ci/*")
	if err != nil {
		t.Fatal(err)
	}
	patterns := 0
	for _, script := range append(scripts, root+"/Makefile") {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(script) == "Makefile" {
			text = []byte(strings.ReplaceAll(string(text), "$$", "$"))
		}
		n, problems := checkScript(string(text), tests)
		for _, problem := range problems {
			t.Errorf("%s: %s", script, problem)
		}
		patterns += n
	}
	if patterns < 10 {
		t.Errorf("found %d patterns, want at least 10: the check does not recognize them", patterns)
	}
}

// testFunctions maps a directory to the names of its tests, benchmarks, fuzz tests
// and examples.
type testFunctions map[string][]string

func readTests(t *testing.T) testFunctions {
	t.Helper()
	tests := testFunctions{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && isTest.MatchString(f.Name.Name) {
				tests[dir] = append(tests[dir], f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

var (
	isTest     = regexp.MustCompile(`^(Test|Fuzz|Example|Benchmark)`)
	assignment = regexp.MustCompile(`^\s*(\w+)(\+?)='([^']*)'$`)
	variable   = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)
	patternArg = regexp.MustCompile(`\s-(?:test\.)?(run|skip|bench)[ =](?:'([^']*)'|"([^"]*)"|(\S+))`)
	changeDir  = regexp.MustCompile(`cd ([\w./-]+) &&`)
	packageArg = regexp.MustCompile(`(?:^|\s)(work|\.|\./[\w./-]*)(?:\s|\)|$)`)
)

// checkScript returns the number of patterns in a script, and one sentence for each
// alternative of a pattern that matches no test. "A|B" has the alternatives A and B.
func checkScript(text string, tests testFunctions) (patterns int, problems []string) {
	variables := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if set := assignment.FindStringSubmatch(line); set != nil {
			if set[2] == "" {
				variables[set[1]] = ""
			}
			variables[set[1]] += set[3]
			continue
		}
		for _, match := range patternArg.FindAllStringSubmatch(line, -1) {
			patterns++
			pattern := strings.ReplaceAll(match[2]+match[3]+match[4], `\$`, "$")
			pattern = variable.ReplaceAllStringFunc(pattern, func(name string) string {
				if value, ok := variables[strings.Trim(name, "${}")]; ok {
					return value
				}
				return name
			})
			if pattern == "^$" { // no tests, for example with -bench
				continue
			}
			for _, problem := range checkPattern(pattern, match[1] == "bench", tests.of(line)) {
				problems = append(problems, fmt.Sprintf("-%s %s: %s", match[1], pattern, problem))
			}
		}
	}
	return patterns, problems
}

// of returns the test functions of the packages in a command line. If the line names
// no package, the command tests the package in its directory.
func (f testFunctions) of(line string) (names []string) {
	base := "."
	if cd := changeDir.FindStringSubmatch(line); cd != nil {
		base = cd[1]
	}
	line = patternArg.ReplaceAllString(line, "")
	line = strings.ReplaceAll(line, " ", "  ") // packageArg consumes a space on each side
	args := packageArg.FindAllStringSubmatch(line, -1)
	if args == nil {
		return f[base]
	}
	for _, arg := range args {
		dir, all := strings.CutSuffix(arg[1], "/...")
		all = all || dir == "work"
		if dir == "work" {
			dir = "."
		}
		dir = path.Join(base, dir)
		for at, functions := range f {
			if at == dir || all && (dir == "." || strings.HasPrefix(at, dir+"/")) {
				names = append(names, functions...)
			}
		}
	}
	return names
}

// checkPattern returns one sentence for each alternative that matches no name. If
// bench is true, only benchmarks count; otherwise only other tests.
func checkPattern(pattern string, bench bool, names []string) (problems []string) {
	top, _, _ := strings.Cut(pattern, "/") // the rest of the pattern selects subtests
	parsed, err := syntax.Parse(top, syntax.Perl)
	if err != nil {
		return []string{err.Error()}
	}
	for _, alternative := range alternatives(parsed) {
		expression := regexp.MustCompile(alternative)
		if !slices.ContainsFunc(names, func(name string) bool {
			return strings.HasPrefix(name, "Benchmark") == bench && expression.MatchString(name)
		}) {
			problems = append(problems, alternative+" matches no test")
		}
	}
	return problems
}

// alternatives returns expressions without "|" that together match the same texts
// as parsed. For example, for "a(b|c)" it returns "ab" and "ac".
func alternatives(parsed *syntax.Regexp) []string {
	switch parsed.Op {
	case syntax.OpAlternate:
		var all []string
		for _, sub := range parsed.Sub {
			all = append(all, alternatives(sub)...)
		}
		return all
	case syntax.OpCapture:
		return alternatives(parsed.Sub[0])
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range parsed.Sub {
			var longer []string
			for _, head := range all {
				for _, tail := range alternatives(sub) {
					longer = append(longer, head+tail)
				}
			}
			all = longer
		}
		return all
	}
	return []string{parsed.String()}
}

func TestCheckScript(t *testing.T) {
	tests := testFunctions{
		".":          {"TestOne", "TestTwo", "BenchmarkOne"},
		"internal/a": {"TestThree", "FuzzThree"},
	}
	for _, test := range []struct {
		script   string
		patterns int
		problems []string // a part of each
	}{
		{"go test -run '^TestOne$' .", 1, nil},
		{"go test -run=One .", 1, nil},
		{"go test -run '^Test(One|Four|Six)$' .", 1, []string{"Four", "Six"}},
		{"go test -run '^$' -bench One .", 2, nil},
		{"go test -bench Two .", 1, []string{"Two"}},
		{"go test -skip Three .", 1, []string{"Three"}},
		{"go test -skip 'Three|One' . ./internal/a", 1, nil},
		{"go test -run Three ./internal/...", 1, nil},
		{"cd internal && go test -run 'Three|One' ./a", 1, []string{"One"}},
		{"go test -run 'One/a subtest|Three' work", 1, nil},
		{"x='^TestOne'\nx+='|Five'\n$scratch/a.test \\\n -test.skip \"$x\"", 1, []string{"Five"}},
		{"go test -run \"^\\$\" .", 1, nil},
		{"go test -run \"$unknown\" .", 1, []string{"unknown"}},
		{"# go test -run Comment .", 0, nil},
	} {
		n, problems := checkScript(test.script, tests)
		if n != test.patterns || !slices.EqualFunc(problems, test.problems, strings.Contains) {
			t.Errorf("%s: %d patterns, problems %q, want %d and %q",
				test.script, n, problems, test.patterns, test.problems)
		}
	}
}
