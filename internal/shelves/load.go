package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// system is the GOOS for which the package is measured.
const system = "linux"

// A source is a type-checked package.
type source struct {
	set   *token.FileSet
	files []*ast.File // the files of system, without tests
	pkg   *types.Package
	uses  map[*ast.Ident]types.Object // the object to which each identifier refers
	names []string                    // names of all non-test files, also for other systems
	tests int                         // number of test files
}

// load reads and type-checks the package in a directory. The types of imported
// packages are read from the export data that "go list -export" builds.
func load(dir string) (*source, error) {
	out, err := command(dir, "go", "list", "-export", "-deps",
		"-json=ImportPath,Export,DepOnly,GoFiles,IgnoredGoFiles", ".")
	if err != nil {
		return nil, err
	}
	type listed struct {
		ImportPath, Export      string
		DepOnly                 bool
		GoFiles, IgnoredGoFiles []string
	}
	var root listed
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			root = p
		}
	}
	s := &source{set: token.NewFileSet()}
	for _, name := range root.GoFiles {
		path := filepath.Join(dir, name)
		f, err := parser.ParseFile(s.set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, f)
	}
	s.names = append(s.names, root.GoFiles...)
	for _, name := range root.IgnoredGoFiles {
		if !strings.HasSuffix(name, "_test.go") {
			s.names = append(s.names, name)
		}
	}
	tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	s.tests = len(tests)
	imports := importer.ForCompiler(s.set, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	err = s.check(root.ImportPath, imports)
	return s, err
}

// check type-checks the files, and sets pkg and uses.
func (s *source) check(path string, imports types.Importer) (err error) {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: imports, Sizes: types.SizesFor("gc", "amd64")}
	s.pkg, err = conf.Check(path, s.set, s.files, info)
	s.uses = info.Uses
	return err
}

// fileOf returns the name of the file that contains a position.
func (s *source) fileOf(pos token.Pos) string {
	return filepath.Base(s.set.Position(pos).Filename)
}

// declarationAt returns the beginning of the package-level declaration that contains
// a position. Each specification in a group such as var ( … ) is a declaration.
func (s *source) declarationAt(pos token.Pos) token.Pos {
	inside := func(n ast.Node) bool { return n.Pos() <= pos && pos < n.End() }
	for _, file := range s.files {
		if pos < file.FileStart || file.FileEnd < pos {
			continue
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					if inside(spec) {
						return spec.Pos()
					}
				}
			}
			if inside(d) {
				return d.Pos()
			}
		}
	}
	return token.NoPos
}

// functions returns an iterator over the functions and methods.
func (s *source) functions() func(yield func(*ast.FuncDecl) bool) {
	return func(yield func(*ast.FuncDecl) bool) {
		for _, file := range s.files {
			for _, d := range file.Decls {
				if decl, ok := d.(*ast.FuncDecl); ok && !yield(decl) {
					return
				}
			}
		}
	}
}

// command runs a command in a directory, with GOOS set to system, and returns its
// output.
func command(dir, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOOS="+system)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return out, nil
}

// longFiles returns the Go files below a directory that have more lines than a
// limit, each with its number of lines.
func longFiles(dir string, limit int) (long []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(data, []byte("\n")); n > limit {
			long = append(long, fmt.Sprintf("%s: %d lines", name, n))
		}
		return nil
	})
	return long, err
}
