package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// isCondition reports whether e is a whole condition. An operand of &&, || or ! is
// not: replaceCondition visits it as a part of the whole condition.
func (f *finder) isCondition(e ast.Expr) bool {
	if _, ok := e.(*ast.ParenExpr); ok || !f.isType(e, types.IsBoolean) || f.isConstant(e) {
		return false
	}
	i := 0
	for ; ; i++ {
		if _, ok := f.parent(i).(*ast.ParenExpr); !ok {
			break
		}
	}
	switch parent := f.parent(i).(type) {
	case *ast.BinaryExpr:
		if isLogical(parent) {
			return false
		}
	case *ast.UnaryExpr:
		if parent.Op == token.NOT {
			return false
		}
	case *ast.IfStmt, *ast.ReturnStmt:
		return true
	case *ast.ForStmt:
		return true
	case *ast.CaseClause:
		if isIn(parent.List, e) {
			sw, ok := f.parent(i + 2).(*ast.SwitchStmt)
			return ok && sw.Tag == nil
		}
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return true
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	}
	return false
}

func isIn(list []ast.Expr, e ast.Expr) bool {
	for _, x := range list {
		if ast.Unparen(x) == e {
			return true
		}
	}
	return false
}

func isLogical(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && (b.Op == token.LAND || b.Op == token.LOR)
}

func (f *finder) isConstant(e ast.Expr) bool { return f.info.Types[e].Value != nil }

// replaceCondition adds a mutant whose condition is always true, and a mutant whose
// condition is always false. An operand of && becomes only true, and an operand of
// || only false: otherwise the whole condition would be constant, and there is
// already a mutant for that. No mutant negates a condition, because a test that
// kills it also kills one of the others.
func (f *finder) replaceCondition(e ast.Expr, withTrue, withFalse bool) {
	if withTrue {
		f.add("condition", e.Pos(), f.wrap(e, "(", " || true)"))
	}
	if withFalse {
		f.add("condition", e.Pos(), f.wrap(e, "((", ") && false)"))
	}
	f.replaceOperands(e)
}

// replaceOperands calls replaceCondition for the operands of && and || in e.
func (f *finder) replaceOperands(e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			f.replaceOperands(e.X)
		}
	case *ast.BinaryExpr:
		if !isLogical(e) {
			return
		}
		for _, operand := range []ast.Expr{e.X, e.Y} {
			if inner, ok := operand.(*ast.BinaryExpr); ok && inner.Op == e.Op {
				f.replaceOperands(operand) // a && b && c has three operands
				continue
			}
			f.replaceCondition(operand, e.Op == token.LAND, e.Op == token.LOR)
		}
	}
}

// operators maps an operator to its replacement. The operators == and != have no
// replacement, because replaceCondition replaces the whole comparison.
var operators = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.REM: token.MUL, token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND,
	token.AND_NOT: token.AND, token.SHL: token.SHR, token.SHR: token.SHL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
}

func isRelational(e ast.Node) bool {
	b, ok := e.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	switch b.Op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		return true
	}
	return false
}

func (f *finder) replaceOperator(e *ast.BinaryExpr) {
	replacement, ok := operators[e.Op]
	if !ok || f.isType(e, types.IsString) {
		return
	}
	if call, ok := e.X.(*ast.CallExpr); ok && f.isBuiltin(call.Fun, "len") && e.Op == token.GTR &&
		f.textOf(e.Y) == "0" {
		return // len(x) >= 0 is always true
	}
	kind := "operator"
	if isRelational(e) {
		kind = "bound"
	}
	f.add(kind, e.Pos(), f.edit(e.OpPos, e.OpPos+token.Pos(len(e.Op.String())), replacement.String()))
}

// replaceLiteral replaces an integer n by n+1 and by n-1, and a character beside a
// relational operator by the next and the previous character. Beside a relational
// operator, it leaves out the replacement that equals a mutant of replaceOperator:
// "x < 9" is the same as "x <= 8".
func (f *finder) replaceLiteral(e *ast.BasicLit) {
	skipped := int64(0)
	if comparison, ok := f.parent(0).(*ast.BinaryExpr); ok && isRelational(comparison) {
		switch comparison.Op {
		case token.LSS, token.GEQ:
			skipped = +1 // x <= 8 is x < 9
		case token.LEQ, token.GTR:
			skipped = -1 // x < 8 is x <= 7
		}
		if comparison.X == e {
			skipped = -skipped
		}
	}
	var n int64
	var format func(int64) string
	switch e.Kind {
	case token.INT:
		value, err := strconv.ParseInt(e.Value, 0, 64)
		if err != nil {
			return
		}
		n = value
		format = func(n int64) string { return strconv.FormatInt(n, 10) }
		if strings.HasPrefix(strings.ToLower(e.Value), "0x") {
			format = func(n int64) string { return "0x" + strings.ToUpper(strconv.FormatInt(n, 16)) }
		}
	case token.CHAR:
		r, _, _, err := strconv.UnquoteChar(e.Value[1:], '\'')
		if err != nil || skipped == 0 {
			return
		}
		n = int64(r)
		format = func(n int64) string { return strconv.QuoteRune(rune(n)) }
	default:
		return
	}
	for _, step := range []int64{+1, -1} {
		if step != skipped && n+step >= 0 {
			f.add("bound", e.Pos(), f.edit(e.Pos(), e.End(), format(n+step)))
		}
	}
}

// replaceBool replaces the constant true by false, and false by true.
func (f *finder) replaceBool(e *ast.Ident) {
	other := map[string]string{"true": "false", "false": "true"}[e.Name]
	if other == "" || f.info.Uses[e] != types.Universe.Lookup(e.Name) {
		return
	}
	if field, ok := f.parent(0).(*ast.KeyValueExpr); ok && e.Name == "true" && e == field.Value {
		return // deleteElements adds the same mutant
	}
	f.add("condition", e.Pos(), f.edit(e.Pos(), e.End(), other))
}

// replaceMinMax replaces the built-in function min by max, and max by min.
func (f *finder) replaceMinMax(e *ast.CallExpr) {
	for name, other := range map[string]string{"min": "max", "max": "min"} {
		if f.isBuiltin(e.Fun, name) {
			f.add("bound", e.Pos(), f.edit(e.Fun.Pos(), e.Fun.End(), other))
		}
	}
}
