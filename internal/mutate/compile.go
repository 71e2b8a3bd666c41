package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
)

// keepCompiling returns the mutants that compile, and sets their ids and keys. The
// first form of each of them compiles. If alone is true, each mutant has a program
// by itself.
func (s *source) keepCompiling(mutants []*mutant, alone bool) ([]*mutant, error) {
	byID := map[int]*mutant{}
	for i, m := range mutants {
		if !alone && m.decl != nil && !callsRecover(m.decl.Body) {
			m.id = i + 1
			byID[m.id] = m
		}
		for len(m.forms) > 0 && !s.parses(m) {
			m.forms = m.forms[1:]
		}
	}
	mutants = withForms(mutants)
	for {
		bad := map[int]bool{}
		var other error
		err := s.typeErrors(s.combine(mutants), func(decl ast.Decl, err types.Error) {
			if id := idOf(decl); id != 0 {
				bad[id] = true
			} else if other == nil {
				other = fmt.Errorf("the program with all mutants does not compile: %w", err)
			}
		})
		if err == nil {
			err = other
		}
		if err != nil {
			return nil, err
		}
		if len(bad) == 0 {
			break
		}
		for id := range bad {
			byID[id].forms = byID[id].forms[1:]
		}
		mutants = withForms(mutants)
	}
	for _, m := range mutants {
		if m.id == 0 {
			if err := s.keepForms(m); err != nil {
				return nil, err
			}
		}
	}
	mutants = withForms(mutants)
	for _, m := range mutants {
		m.setLines()
	}
	numberKeys(mutants)
	return mutants, nil
}

// keepForms removes forms from the beginning of m.forms until the first form
// compiles, or none is left. It is for a mutant that has a program by itself.
func (s *source) keepForms(m *mutant) error {
	for len(m.forms) > 0 {
		bad := false
		if err := s.typeErrors(m.change(), func(ast.Decl, types.Error) { bad = true }); err != nil {
			return err
		}
		if !bad {
			return nil
		}
		m.forms = m.forms[1:]
	}
	return nil
}

// parses reports whether the first form of a mutant has no syntax error.
func (s *source) parses(m *mutant) bool {
	text := m.change()[m.file.name]
	_, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	return err == nil
}

// withForms returns the mutants that have a form left.
func withForms(mutants []*mutant) []*mutant {
	var kept []*mutant
	for _, m := range mutants {
		if len(m.forms) > 0 {
			kept = append(kept, m)
		}
	}
	return kept
}

// callsRecover reports whether a function itself calls recover. recover works only
// in a deferred function. So it would not work in a copy, which the deferred
// function calls.
func callsRecover(body *ast.BlockStmt) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if ident, ok := n.Fun.(*ast.Ident); ok && ident.Name == "recover" {
				found = true
			}
		}
		return true
	})
	return found
}
