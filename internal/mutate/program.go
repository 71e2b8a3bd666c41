package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// One test program contains many mutants, because it takes longer to build a program
// than to run it. For each mutant, the program has a copy of the function that
// contains the change. The original function calls this copy if the environment
// variable SSE_MUTANT is the id of the mutant:
//
//	func limit(n int) int {
//		if mutantActive != 0 {
//			switch mutantActive {
//			case 7:
//				return mutant7_limit(n)
//			}
//		}
//		…
//	}
//
// A mutant outside of functions, or of a function that calls recover, has a test
// program by itself.
const selectVariable = "SSE_MUTANT"

const selectFile = "mutant_active.go"

const selectText = `package %s

import (
	"os"
	"strconv"
)

var mutantActive, _ = strconv.Atoi(os.Getenv("` + selectVariable + `"))
`

// changes maps the names of changed files to their new texts.
type changes map[string]string

// combine returns the changes of the program that contains all mutants with an id.
func (s *source) combine(mutants []*mutant) changes {
	byDecl := map[*ast.FuncDecl][]*mutant{}
	for _, m := range mutants {
		if m.id != 0 {
			byDecl[m.decl] = append(byDecl[m.decl], m)
		}
	}
	c := changes{selectFile: fmt.Sprintf(selectText, s.files[0].tree.Name.Name)}
	for _, f := range s.files {
		var edits []edit
		var copies strings.Builder
		for _, decl := range f.tree.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || byDecl[d] == nil {
				continue
			}
			edits = append(edits, s.dispatch(d, byDecl[d])...)
			for _, m := range byDecl[d] {
				copies.WriteString("\n" + s.copyOf(m) + "\n")
			}
		}
		if edits != nil {
			c[f.name] = apply(f.text, 0, len(f.text), edits) + copies.String()
		}
	}
	return c
}

// copyOf returns the text of a mutant's function with the change and a new name.
func (s *source) copyOf(m *mutant) string {
	name := s.offset(m.decl.Name.Pos())
	edits := append([]edit{{name, name, copyPrefix(m.id)}}, m.forms[0]...)
	return apply(m.file.text, s.offset(m.decl.Pos()), s.offset(m.decl.End()), edits)
}

// copyPrefix returns the beginning of the name of a copy.
func copyPrefix(id int) string { return "mutant" + strconv.Itoa(id) + "_" }

// idOf returns the id of a mutant if decl is its copy, and 0 if decl is no copy.
func idOf(decl ast.Decl) int {
	d, ok := decl.(*ast.FuncDecl)
	if !ok {
		return 0
	}
	text, _, ok := strings.Cut(d.Name.Name, "_")
	digits, isCopy := strings.CutPrefix(text, "mutant")
	if !ok || !isCopy {
		return 0
	}
	id, _ := strconv.Atoi(digits)
	return id
}

// dispatch returns the edits that make a function call the selected copy. The edits
// also give names to unnamed parameters, so that the call can pass them.
func (s *source) dispatch(d *ast.FuncDecl, mutants []*mutant) []edit {
	var edits []edit
	call := "("
	n := 0
	name := func(field *ast.Field) (args []string) {
		for _, ident := range field.Names {
			text := ident.Name
			if text == "_" {
				n++
				text = "mutantArg" + strconv.Itoa(n)
				edits = append(edits, edit{s.offset(ident.Pos()), s.offset(ident.End()), text})
			}
			args = append(args, text)
		}
		if field.Names == nil {
			n++
			text := "mutantArg" + strconv.Itoa(n)
			at := s.offset(field.Pos())
			edits = append(edits, edit{at, at, text + " "})
			args = []string{text}
		}
		return args
	}
	receiver := ""
	if d.Recv != nil {
		receiver = name(d.Recv.List[0])[0] + "."
	}
	if d.Type.TypeParams != nil {
		var names []string
		for _, field := range d.Type.TypeParams.List {
			for _, ident := range field.Names {
				names = append(names, ident.Name)
			}
		}
		call = "[" + strings.Join(names, ", ") + "]("
	}
	var args []string
	for _, field := range d.Type.Params.List {
		args = append(args, name(field)...)
		if _, ok := field.Type.(*ast.Ellipsis); ok {
			args[len(args)-1] += "..."
		}
	}
	call += strings.Join(args, ", ") + ")"
	before, after := "", "; return"
	if d.Type.Results != nil {
		before, after = "return ", ""
	}
	var b strings.Builder
	b.WriteString(" if mutantActive != 0 { switch mutantActive {")
	for _, m := range mutants {
		fmt.Fprintf(&b, "\ncase %d: %s%s%s%s%s%s", m.id, before, receiver, copyPrefix(m.id),
			d.Name.Name, call, after)
	}
	b.WriteString("\n}};")
	brace := s.offset(d.Body.Lbrace) + 1
	return append(edits, edit{brace, brace, b.String()})
}

// change returns the changes for a program that contains only this mutant.
func (m *mutant) change() changes {
	return changes{m.file.name: apply(m.file.text, 0, len(m.file.text), m.forms[0])}
}

// typeErrors type-checks the package with changes. For each error, it calls report
// with the declaration that contains the error, or with nil. It returns an error if
// a file cannot be parsed.
func (s *source) typeErrors(c changes, report func(ast.Decl, types.Error)) error {
	set := token.NewFileSet()
	var trees []*ast.File
	parse := func(name, text string) error {
		tree, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		trees = append(trees, tree)
		return err
	}
	for _, f := range s.files {
		text, ok := c[f.name]
		if !ok {
			text = f.text
		}
		if err := parse(f.name, text); err != nil {
			return err
		}
	}
	if text, ok := c[selectFile]; ok {
		if err := parse(selectFile, text); err != nil {
			return err
		}
	}
	return s.check(set, trees, nil, func(err types.Error) {
		for _, tree := range trees {
			for _, decl := range tree.Decls {
				if decl.Pos() <= err.Pos && err.Pos <= decl.End() {
					report(decl, err)
					return
				}
			}
		}
		report(nil, err)
	})
}

// build builds the test program of the package with changes, and writes it to the
// file output.
func (s *source) build(c changes, output string, flags ...string) error {
	dir, err := os.MkdirTemp(filepath.Dir(output), "overlay")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	replace := map[string]string{}
	for name, text := range c {
		changed := filepath.Join(dir, name)
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return err
		}
		replace[filepath.Join(s.dir, name)] = changed
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return err
	}
	args := append([]string{"test", "-c", "-vet=off", "-o", output, "-overlay", list}, flags...)
	_, err = goCommand(s.dir, append(args, ".")...)
	return err
}
