package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// skipItems adds two mutants of a loop: without its first item, and without all items
// after the first. If withFirst is false, it adds only the second: in a loop without
// a post statement, such as "for cond { … }", a skipped iteration is only repeated.
func (f *finder) skipItems(loop ast.Stmt, body *ast.BlockStmt, withFirst bool) {
	begin := loop.Pos()
	if label, ok := f.parent(0).(*ast.LabeledStmt); ok {
		begin = label.Pos()
	}
	brace := f.offset(body.Lbrace) + 1
	add := func(check string) {
		f.add("skipped items", loop.Pos(), []edit{
			{f.offset(begin), f.offset(begin), "mutantFirst := true; "},
			{brace, brace, check},
		})
	}
	if withFirst {
		add(" if mutantFirst { mutantFirst = false; continue };")
	}
	add(" if !mutantFirst { break }; mutantFirst = false;")
}

// deleteCases adds a mutant for each value in the cases of a switch, without this
// value. If the value is the only one of its case, the mutant lacks the whole case.
func (f *finder) deleteCases(body *ast.BlockStmt) {
	for _, s := range body.List {
		clause, ok := s.(*ast.CaseClause)
		if !ok {
			continue
		}
		if len(clause.List) == 1 {
			f.add("deleted item", clause.Pos(), f.edit(clause.Pos(), clause.End(), ""))
			continue
		}
		f.deleteEach(clause.List, clause.Colon)
	}
}

// deleteElements adds a mutant for each element of a composite literal, without this
// element.
func (f *finder) deleteElements(lit *ast.CompositeLit) {
	f.deleteEach(lit.Elts, lit.Rbrace)
}

// deleteEach adds a mutant for each expression of a list, without this expression and
// its comma. end is the end of the list. A field with the value false has no such
// mutant, because the mutant would be equivalent.
func (f *finder) deleteEach(list []ast.Expr, end token.Pos) {
	for i, e := range list {
		if field, ok := e.(*ast.KeyValueExpr); ok {
			if value, ok := field.Value.(*ast.Ident); ok && value.Name == "false" {
				continue
			}
		}
		from, to := e.Pos(), e.End()
		rest := f.file.text[f.offset(to):f.offset(end)]
		switch comma := strings.IndexByte(rest, ','); {
		case i+1 < len(list):
			to = list[i+1].Pos()
		case comma >= 0 && strings.TrimSpace(rest[:comma]) == "":
			to += token.Pos(comma + 1)
		case i > 0:
			from = list[i-1].End()
		}
		f.add("deleted item", e.Pos(), f.edit(from, to, ""))
	}
}
