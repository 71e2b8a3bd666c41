package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// goTexts returns the comments of a Go file and its string literals of three
// words or more. Literals that are joined by + are one text.
func goTexts(path string, data []byte) []*text {
	set := token.NewFileSet()
	file, _ := parser.ParseFile(set, path, data, parser.ParseComments|parser.SkipObjectResolution)
	if file == nil {
		return nil
	}
	g := goFile{path: path, set: set, names: make(map[string]bool)}
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			g.names[id.Name] = true
		}
		return true
	})
	for _, group := range file.Comments {
		g.comment(group)
	}
	ast.Inspect(file, g.visit)
	return g.texts
}

// goFile collects the texts of a Go file.
type goFile struct {
	path  string
	set   *token.FileSet
	names map[string]bool // all identifiers in the file
	texts []*text
}

func (g *goFile) line(pos token.Pos) int { return g.set.Position(pos).Line }

// comment adds a group of comments: comment lines without other lines between them.
// If the group begins with an identifier, "NAME" replaces it, because an identifier
// is not English.
func (g *goFile) comment(group *ast.CommentGroup) {
	t := &text{file: g.path}
	for _, c := range group.List {
		line := g.line(c.Pos())
		s := unmark(c.Text)
		if name, rest, ok := strings.Cut(strings.TrimSpace(s), " "); ok && g.names[name] &&
			len(t.prose) == 0 {
			s = "NAME " + rest
		}
		t.add(line, s)
	}
	g.texts = append(g.texts, t)
}

// unmark removes "//" or "/*" and "*/" from a comment. It returns an empty string
// for a directive, and for a line that begins with a tab, because it is code. From
// a nolint directive it returns only the reason.
func unmark(c string) string {
	s, ok := strings.CutPrefix(c, "//")
	if !ok {
		return strings.TrimSuffix(strings.TrimPrefix(c, "/*"), "*/")
	}
	if strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "go:") || strings.HasPrefix(s, "line ") {
		return ""
	}
	if strings.HasPrefix(s, "nolint") {
		_, s, _ = strings.Cut(s, "//") // the reason
	}
	return s
}

// visit adds the string literals of a node. It is called by [ast.Inspect], and
// reports whether Inspect must visit the parts of the node too.
func (g *goFile) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field:
		if n.Tag != nil {
			n.Tag = nil // a tag is not English, and Inspect would visit it
		}
	case *ast.BasicLit:
		g.literals(n)
	case *ast.BinaryExpr:
		if n.Op != token.ADD {
			return true
		}
		terms := flatten(n, nil)
		g.literals(terms...)
		for _, t := range terms {
			if _, ok := t.(*ast.BasicLit); !ok {
				ast.Inspect(t, g.visit)
			}
		}
		return false
	}
	return true
}

// flatten appends the terms of a sum to terms. For example, a + b + c has three
// terms.
func flatten(e ast.Expr, terms []ast.Expr) []ast.Expr {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		return flatten(b.Y, flatten(b.X, terms))
	}
	return append(terms, e)
}

// literals adds the terms of a concatenation as one text, if it has at least
// minWords words. A term that is not a literal counts as one word.
func (g *goFile) literals(terms ...ast.Expr) {
	t := &text{file: g.path}
	prose := false
	for _, term := range terms {
		line := g.line(term.Pos())
		lit, ok := term.(*ast.BasicLit)
		if !ok {
			t.continueLine(line, "VALUE")
			continue
		}
		s, err := strconv.Unquote(lit.Value)
		if lit.Kind != token.STRING || err != nil {
			continue
		}
		prose = prose || len(strings.Fields(s)) > 1
		g.literal(t, line, s, strings.HasPrefix(lit.Value, "`"))
	}
	if prose && t.words() >= minWords {
		g.texts = append(g.texts, t)
	}
}

// literal appends s, the value of a literal that begins on the given line, to t. A
// raw literal, in backquotes, may extend over several lines of the file.
func (g *goFile) literal(t *text, line int, s string, raw bool) {
	first, rest, more := strings.Cut(s, "\n")
	t.continueLine(line, first)
	t.last = strings.TrimSpace(first)
	for more {
		if raw {
			line++
		}
		first, rest, more = strings.Cut(rest, "\n")
		t.add(line, first)
		if !more && first != "" && strings.HasSuffix(first, " ") {
			t.continueLine(line, " ") // the next literal begins a new word
		}
	}
}
