package testrand_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = "../.." // of the repository

// others are the test files that may call functions of math/rand/v2 directly, each
// with the reason.
var others = map[string]string{
	"cmd/sse/process_test.go":                 "the test does not depend on the number of the port",
	"cmd/sse/internal/hub/full_linux_test.go": "bulk is data that cannot be compressed",
}

// fixtures are packages that only tests use.
var fixtures = []string{"internal/brokertest/", "internal/property/", "ssetest/"}

// Tests must get their random numbers from package testrand, so that their seeds
// are logged and can be set.
func TestSeedsAreSettable(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "compare"):
			return fs.SkipDir
		case d.IsDir() || !onlyTests(name):
			return nil
		}
		calls := randomCalls(t, path)
		if len(calls) > 0 && others[name] == "" {
			t.Errorf("%s must get its random numbers from testrand, but calls %s",
				name, strings.Join(calls, ", "))
		}
		used[name] = len(calls) > 0
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range others {
		if !used[name] {
			t.Errorf("%s calls no function of math/rand/v2: remove it from the list", name)
		}
	}
}

// onlyTests reports whether only tests use the file with the given name.
func onlyTests(name string) bool {
	if strings.HasSuffix(name, "_test.go") {
		return true
	}
	for _, fixture := range fixtures {
		if strings.HasPrefix(name, fixture) && strings.HasSuffix(name, ".go") {
			return true
		}
	}
	return false
}

// randomCalls returns the calls of functions of math/rand and math/rand/v2 in a
// file, with their lines.
func randomCalls(t *testing.T, path string) (calls []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, spec := range file.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == "math/rand/v2" || p == "math/rand" {
			name = "rand"
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	if name == "" {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f := call.Fun
		if generic, ok := f.(*ast.IndexExpr); ok {
			f = generic.X
		}
		if s, ok := f.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				calls = append(calls, strconv.Itoa(files.Position(call.Pos()).Line)+": rand."+s.Sel.Name)
			}
		}
		return true
	})
	return calls
}
