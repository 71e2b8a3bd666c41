package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

// finder finds the mutants of a package.
type finder struct {
	*source
	mutants []*mutant

	file    *file         // the file that is visited
	decl    *ast.FuncDecl // the function that is visited; nil outside of functions
	parents []ast.Node    // the nodes around the visited node; its own parent is the last
}

// find returns the mutants of files, in the order of the source. Some of them may
// not compile.
func find(s *source, files []*file) []*mutant {
	f := &finder{source: s}
	for _, f.file = range files {
		for _, decl := range f.file.tree.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if f.decl = d; d.Body != nil {
					f.walk(d.Body)
				}
			case *ast.GenDecl:
				f.decl = nil
				for _, spec := range d.Specs {
					if values, ok := spec.(*ast.ValueSpec); ok {
						for _, value := range values.Values {
							f.walk(value)
						}
					}
				}
			}
		}
	}
	return f.mutants
}

func (f *finder) walk(root ast.Node) {
	f.parents = nil
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			f.parents = f.parents[:len(f.parents)-1]
			return true
		}
		if !f.isSkipped(n) {
			f.visit(n)
			f.parents = append(f.parents, n)
			return true
		}
		return false
	})
}

// isSkipped reports whether a node and its children have no useful mutants. This
// concerns the parts of an array type, the capacity in a call of make, the argument
// of panic, and constants that are returned beside an error.
func (f *finder) isSkipped(n ast.Node) bool {
	switch parent := f.parent(0).(type) {
	case *ast.ReturnStmt:
		last := parent.Results[len(parent.Results)-1]
		e, ok := n.(ast.Expr)
		return ok && n != last && f.isConstant(e) && f.isError(last)
	case *ast.ArrayType:
		return true
	case *ast.CallExpr:
		return f.isBuiltin(parent.Fun, "make") && len(parent.Args) == 3 && n == parent.Args[2] ||
			f.isBuiltin(parent.Fun, "panic")
	}
	return false
}

func (f *finder) visit(n ast.Node) {
	if e, ok := n.(ast.Expr); ok {
		f.visitExpr(e)
	}
	switch n := n.(type) {
	case ast.Stmt:
		f.visitStatement(n)
	case *ast.CompositeLit:
		f.deleteElements(n)
	}
}

func (f *finder) visitExpr(e ast.Expr) {
	if f.isCondition(e) {
		_, isLoop := f.parent(0).(*ast.ForStmt)
		f.replaceCondition(e, !isLoop, true)
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		f.replaceOperator(e)
	case *ast.UnaryExpr:
		if e.Op == token.SUB {
			f.add("operator", e.Pos(), f.edit(e.OpPos, e.X.Pos(), ""))
		}
	case *ast.BasicLit:
		f.replaceLiteral(e)
	case *ast.Ident:
		f.replaceBool(e)
	case *ast.CallExpr:
		f.replaceMinMax(e)
	}
}

// parent returns the parent of the visited node for 0, the parent of that parent for
// 1, and so on. If there is none, it returns nil.
func (f *finder) parent(i int) ast.Node {
	if i >= len(f.parents) {
		return nil
	}
	return f.parents[len(f.parents)-1-i]
}

// add adds a mutant whose change is at pos.
func (f *finder) add(kind string, pos token.Pos, forms ...[]edit) {
	m := &mutant{
		key:  key{file: f.file.rel, function: functionName(f.decl)},
		file: f.file, decl: f.decl, kind: kind, start: pos,
		line: f.set.Position(pos).Line, forms: forms,
	}
	f.mutants = append(f.mutants, m)
}

// edit returns an edit that replaces the text between two positions.
func (f *finder) edit(from, to token.Pos, text string) []edit {
	return []edit{{f.offset(from), f.offset(to), text}}
}

// wrap returns the edits that put text before and after a node.
func (f *finder) wrap(n ast.Node, before, after string) []edit {
	from, to := f.offset(n.Pos()), f.offset(n.End())
	return []edit{{from, from, before}, {to, to, after}}
}

// textOf returns the source of a node.
func (f *finder) textOf(n ast.Node) string {
	return f.file.text[f.offset(n.Pos()):f.offset(n.End())]
}

func (f *finder) isBuiltin(fun ast.Expr, name string) bool {
	ident, ok := ast.Unparen(fun).(*ast.Ident)
	if !ok || ident.Name != name {
		return false
	}
	_, ok = f.info.Uses[ident].(*types.Builtin)
	return ok
}

// isType reports whether the type of e is a basic type of a kind, for example
// types.IsBoolean.
func (f *finder) isType(e ast.Expr, kind types.BasicInfo) bool {
	t := f.info.TypeOf(e)
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&kind != 0
}
