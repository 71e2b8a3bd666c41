package sse_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sse-go/sse/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

// maxNames is the limit of exported names. A name above the limit needs an ADR, a
// page in docs/adr (CONTRIBUTING.md, invariant 16).
const maxNames = 111

// maxFields is the limit of exported fields in one struct.
const maxFields = 21

// The package has at most maxNames exported names: the functions, methods, types,
// constants and variables that go doc -all lists. Fields are limited separately.
func TestExportedNames(t *testing.T) {
	var names []string
	for _, typ := range publicAPI(t).Types {
		names = append(names, typ.Name)
		for _, f := range typ.Funcs {
			names = append(names, f.Name)
		}
		for _, m := range typ.Methods {
			names = append(names, typ.Name+"."+m.Name)
		}
		names = append(names, valueNames(typ.Consts)...)
		names = append(names, valueNames(typ.Vars)...)
		if n := exportedFields(typ); n > maxFields {
			t.Errorf("%s has %d fields, more than %d", typ.Name, n, maxFields)
		}
	}
	api := publicAPI(t)
	for _, f := range api.Funcs {
		names = append(names, f.Name)
	}
	names = append(names, valueNames(api.Consts)...)
	names = append(names, valueNames(api.Vars)...)
	t.Logf("%d exported names", len(names))
	if len(names) > maxNames {
		t.Errorf("%d exported names, more than %d: %s", len(names), maxNames,
			strings.Join(names, " "))
	}
}

func publicAPI(t *testing.T) *doc.Package {
	t.Helper()
	files := gotoken.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	api, err := doc.NewFromFiles(files, parsed, "github.com/sse-go/sse")
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func valueNames(values []*doc.Value) []string {
	var names []string
	for _, v := range values {
		for _, name := range v.Names {
			if ast.IsExported(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func exportedFields(typ *doc.Type) int {
	n := 0
	for _, spec := range typ.Decl.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		if st, ok := s.Type.(*ast.StructType); ok {
			for _, field := range st.Fields.List {
				for _, name := range field.Names {
					if name.IsExported() {
						n++
					}
				}
			}
		}
	}
	return n
}
