package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// skipItems skips the first item of a loop, or all items after the first.
// withFirst is false if skipping the first round would only repeat it.
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

// deleteCases deletes each value of a switch, or its whole case if it is the
// only value.
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

// deleteElements deletes each element of a composite literal. An element with
// the value false is left to replaceBool.
func (f *finder) deleteElements(lit *ast.CompositeLit) {
	f.deleteEach(lit.Elts, lit.Rbrace)
}

// deleteEach deletes each expression of a list, with the comma after it. end is
// the end of the list.
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
