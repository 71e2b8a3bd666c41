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
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// source is a package that was parsed and type-checked.
type source struct {
	dir     string // absolute path of its directory
	path    string // import path
	files   []*file
	set     *token.FileSet
	info    *types.Info
	exports map[string]string // file with the export data, by import path
}

// file is one file of a package, without tests.
type file struct {
	name string // for example ticket.go
	rel  string // relative to the root of the repository, with slashes
	text string
	tree *ast.File
}

// load reads the package that pattern names, and type-checks it. root is the
// absolute path of the repository.
func load(root, pattern string) (*source, error) {
	out, err := goCommand(root, "list", "-export", "-deps",
		"-json=ImportPath,Dir,Export,DepOnly,Standard,GoFiles,CgoFiles",
		pattern, "os", "strconv") // selectText imports os and strconv
	if err != nil {
		return nil, err
	}
	type listed struct {
		ImportPath, Dir, Export string
		DepOnly, Standard       bool
		GoFiles, CgoFiles       []string
	}
	var packages []listed
	s := &source{exports: map[string]string{}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		s.exports[p.ImportPath] = p.Export
		if !p.DepOnly && !p.Standard {
			packages = append(packages, p)
		}
	}
	if len(packages) != 1 || len(packages[0].CgoFiles) > 0 {
		return nil, fmt.Errorf("%s must be one package without cgo", pattern)
	}
	p := packages[0]
	s.dir, s.path = p.Dir, p.ImportPath
	for _, name := range p.GoFiles {
		text, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(root, filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, &file{name: name, rel: filepath.ToSlash(rel), text: string(text)})
	}
	err = s.parse()
	return s, err
}

// parse parses and type-checks the files. It sets their trees, s.set and s.info.
func (s *source) parse() error {
	s.set = token.NewFileSet()
	trees := make([]*ast.File, 0, len(s.files))
	for _, f := range s.files {
		tree, err := parser.ParseFile(s.set, filepath.Join(s.dir, f.name), f.text,
			parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f.tree = tree
		trees = append(trees, tree)
	}
	s.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Defs:  map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
	}
	return s.check(s.set, trees, s.info, nil)
}

// check type-checks files. If report is not nil, check calls it with each error
// and returns nil; otherwise it returns the first error.
func (s *source) check(
	set *token.FileSet, trees []*ast.File, info *types.Info, report func(types.Error),
) error {
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(s.exports[path]) }
	config := types.Config{
		Importer: importer.ForCompiler(set, "gc", lookup),
		Sizes:    types.SizesFor("gc", runtime.GOARCH),
	}
	if report != nil {
		config.Error = func(err error) {
			var e types.Error
			if errors.As(err, &e) {
				report(e)
			}
		}
	}
	if _, err := config.Check(s.path, set, trees, info); err != nil && report == nil {
		return err
	}
	return nil
}

// selectFiles returns the files with the given names, or all files if names is empty.
func (s *source) selectFiles(names []string) ([]*file, error) {
	if len(names) == 0 {
		return s.files, nil
	}
	var selected []*file
	for _, name := range names {
		i := slices.IndexFunc(s.files, func(f *file) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-files must name files of %s without its tests, and %s is not one",
				s.path, name)
		}
		selected = append(selected, s.files[i])
	}
	return selected, nil
}

// offset returns the offset of a position in its file.
func (s *source) offset(pos token.Pos) int { return s.set.Position(pos).Offset }

// goCommand runs the go command and returns its output.
func goCommand(dir string, args ...string) ([]byte, error) {
	c := exec.Command("go", args...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, nil
}
