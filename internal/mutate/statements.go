package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

func (f *finder) visitStatement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ReturnStmt:
		f.dropError(s)
		return
	case *ast.ForStmt:
		f.skipItems(s, s.Body, s.Post != nil)
		return
	case *ast.RangeStmt:
		f.skipItems(s, s.Body, true)
		return
	case *ast.SwitchStmt:
		if s.Tag != nil {
			f.deleteCases(s.Body)
		}
		return
	case *ast.TypeSwitchStmt:
		f.deleteCases(s.Body)
		return
	}
	if !f.isInBlock() {
		return
	}
	whole := f.edit(s.Pos(), s.End(), "")
	switch s := s.(type) {
	case *ast.ExprStmt:
		f.delete(s, whole, f.use(s.X))
	case *ast.AssignStmt:
		f.deleteAssignment(s, whole)
	case *ast.IncDecStmt, *ast.SendStmt:
		f.delete(s, whole)
	case *ast.DeferStmt:
		f.delete(s, whole, f.use(s.Call))
	case *ast.GoStmt:
		f.delete(s, whole, f.use(s.Call))
	case *ast.BranchStmt:
		f.replaceBranch(s, whole)
	}
}

// isInBlock reports whether the visited statement is in a list of statements, so
// that it can be deleted. The i++ of a for clause, for example, is not.
func (f *finder) isInBlock() bool {
	switch f.parent(0).(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.LabeledStmt:
		return true
	}
	return false
}

// delete adds a mutant without a statement. If the statement is the only one in an
// if statement without else, delete adds no mutant: this mutant would equal the
// mutant whose condition is always false.
func (f *finder) delete(s ast.Stmt, forms ...[]edit) {
	block, _ := f.parent(0).(*ast.BlockStmt)
	branch, _ := f.parent(1).(*ast.IfStmt)
	if block != nil && len(block.List) == 1 && branch != nil && branch.Else == nil {
		return
	}
	if c, ok := f.parent(0).(*ast.CommClause); ok && c.Comm == s {
		return
	}
	f.add("deleted statement", s.Pos(), forms...)
}

// use returns an edit that replaces the call e by assignments of its arguments and
// receiver to _. So the mutant compiles even if a variable is not used elsewhere.
func (f *finder) use(e ast.Expr) []edit {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return f.edit(e.Pos(), e.End(), "")
	}
	var uses []string
	if method, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := method.X.(*ast.Ident); ok {
			if _, ok := f.info.Uses[x].(*types.Var); ok {
				uses = append(uses, "_ = "+x.Name)
			}
		}
	}
	for _, arg := range call.Args {
		uses = append(uses, "_ = "+f.textOf(arg))
	}
	stmt := f.parentStatement(e)
	return f.edit(stmt.Pos(), stmt.End(), strings.Join(uses, "; "))
}

// parentStatement returns the visited statement. e must be an expression in it.
func (f *finder) parentStatement(e ast.Expr) ast.Node {
	var list []ast.Stmt
	switch parent := f.parent(0).(type) {
	case *ast.BlockStmt:
		list = parent.List
	case *ast.CaseClause:
		list = parent.Body
	case *ast.CommClause:
		list = parent.Body
	}
	for _, s := range list {
		if s.Pos() <= e.Pos() && e.End() <= s.End() {
			return s
		}
	}
	return e
}

func (f *finder) deleteAssignment(s *ast.AssignStmt, whole []edit) {
	if s.Tok == token.DEFINE {
		return
	}
	blanks := 0
	for _, left := range s.Lhs {
		if ident, ok := left.(*ast.Ident); ok && ident.Name == "_" {
			blanks++
		}
	}
	if s.Tok != token.ASSIGN || blanks == len(s.Lhs) {
		f.delete(s, whole)
		return
	}
	left := strings.TrimSuffix(strings.Repeat("_, ", len(s.Lhs)), ", ")
	f.delete(s, f.edit(s.Lhs[0].Pos(), s.Lhs[len(s.Lhs)-1].End(), left), whole)
}

// replaceBranch adds a mutant without a break or continue statement, and a mutant in
// which break replaces continue.
func (f *finder) replaceBranch(s *ast.BranchStmt, whole []edit) {
	switch s.Tok {
	case token.CONTINUE:
		f.delete(s, whole)
		f.add("skipped items", s.Pos(), f.edit(s.Pos(), s.Pos()+token.Pos(len("continue")), "break"))
	case token.BREAK:
		f.delete(s, whole)
	}
}

// dropError adds a mutant in which nil replaces the error that a statement returns.
func (f *finder) dropError(s *ast.ReturnStmt) {
	if len(s.Results) == 0 {
		return
	}
	last := s.Results[len(s.Results)-1]
	if f.neverFails(last, 3) {
		return
	}
	if tuple, ok := f.info.TypeOf(last).(*types.Tuple); ok {
		f.dropErrorOfCall(s, last, tuple)
		return
	}
	if !f.isError(last) {
		return
	}
	text := f.textOf(last)
	f.add("deleted statement", s.Pos(), []edit{
		{f.offset(s.Pos()), f.offset(s.Pos()), "{ _ = " + text + "; "},
		{f.offset(last.Pos()), f.offset(last.End()), "nil }"},
	})
}

// dropErrorOfCall does the same as dropError if the statement returns the results of
// a call that has several results.
func (f *finder) dropErrorOfCall(s *ast.ReturnStmt, call ast.Expr, results *types.Tuple) {
	n := results.Len()
	if !isErrorType(results.At(n - 1).Type()) {
		return
	}
	var names []string
	for i := range n - 1 {
		names = append(names, fmt.Sprintf("mutant%d", i))
	}
	values := strings.Join(names, ", ")
	f.add("deleted statement", s.Pos(), f.edit(s.Pos(), s.End(),
		fmt.Sprintf("{ %s, _ := %s; return %s, nil }", values, f.textOf(call), values)))
}

// isError reports whether the type of e is error. The constant nil has another type.
func (f *finder) isError(e ast.Expr) bool { return isErrorType(f.info.TypeOf(e)) }

func isErrorType(t types.Type) bool {
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

// neverFails reports whether e is a call of a function of the package whose error is
// always nil. Such a function returns nil, or the error of another function that
// never fails. depth limits the length of this chain of functions.
func (f *finder) neverFails(e ast.Expr, depth int) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	var name *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		name = fun
	case *ast.SelectorExpr:
		name = fun.Sel
	}
	for _, file := range f.files {
		for _, decl := range file.tree.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if ok && name != nil && f.info.Uses[name] != nil && f.info.Defs[d.Name] == f.info.Uses[name] {
				return d.Body != nil && f.returnsNil(d.Body, depth)
			}
		}
	}
	return false
}

// returnsNil reports whether the last result of each return statement in a body is
// nil, or a call that never fails.
func (f *finder) returnsNil(body *ast.BlockStmt, depth int) bool {
	all := true
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) == 0 {
				all = false
				break
			}
			last := n.Results[len(n.Results)-1]
			isNil := f.info.Types[last].IsNil() || depth > 0 && f.neverFails(last, depth-1)
			all = all && isNil
		}
		return true
	})
	return all
}
