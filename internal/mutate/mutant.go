package main

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// mutant is one small change of a package.
type mutant struct {
	key
	file  *file
	decl  *ast.FuncDecl // the function that contains the change; nil outside of functions
	kind  string        // for example "bound"
	line  int           // line of start
	start token.Pos     // position of the change; the mutant is covered if tests run it

	// forms are different texts of the same change. Only the first form that
	// compiles is used: the forms before it are removed, so that it is forms[0].
	forms [][]edit

	// id selects the mutant in the program that contains many mutants. It is 0 if
	// the mutant has a program by itself.
	id int
}

// key identifies a mutant. It does not change if other lines of the file change.
type key struct {
	file     string // relative to the root of the repository
	function string // for example API.login, or "-" outside of functions
	old, new string // the changed lines before and after, with single spaces
	n        int    // 1 for the first mutant with equal other fields, 2 for the second, …
}

// edit replaces the text of a file between two offsets.
type edit struct {
	from, to int
	text     string
}

// apply returns text[from:to] after edits. The edits must be in order, and between
// from and to.
func apply(text string, from, to int, edits []edit) string {
	var b strings.Builder
	for _, e := range edits {
		b.WriteString(text[from:e.from])
		b.WriteString(e.text)
		from = e.to
	}
	b.WriteString(text[from:to])
	return b.String()
}

// setLines sets the fields old and new of the mutant's key.
func (m *mutant) setLines() {
	edits, text := m.forms[0], m.file.text
	from := strings.LastIndexByte(text[:edits[0].from], '\n') + 1
	to := edits[len(edits)-1].to
	if end := strings.IndexByte(text[to:], '\n'); end >= 0 {
		to += end
	} else {
		to = len(text)
	}
	old, changed := text[from:to], apply(text, from, to, edits)
	if strings.Contains(old, "\n") && !strings.Contains(old, "`") {
		// A change of several lines: only the lines that differ are shown.
		olds, news := strings.Split(old, "\n"), strings.Split(changed, "\n")
		for len(olds) > 1 && len(news) > 1 && olds[0] == news[0] {
			olds, news = olds[1:], news[1:]
		}
		for len(olds) > 1 && len(news) > 1 && olds[len(olds)-1] == news[len(news)-1] {
			olds, news = olds[:len(olds)-1], news[:len(news)-1]
		}
		old, changed = strings.Join(olds, "\n"), strings.Join(news, "\n")
	}
	m.old, m.new = shorten(old), shorten(changed)
	if m.new == "" {
		m.new = "(deleted)"
	}
}

// shorten joins the lines of a text by spaces, and cuts it after about 160 bytes.
func shorten(text string) string {
	const limit = 160
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
	}
	return text
}

// numberKeys sets the field n of each key, so that all keys differ.
func numberKeys(mutants []*mutant) {
	count := map[key]int{}
	for _, m := range mutants {
		m.n = 0
		count[m.key]++
		m.n = count[m.key]
	}
}

// String returns the key in the form of the list of equivalent mutants.
func (k key) String() string {
	head := k.file + " " + k.function
	if k.n > 1 {
		head += " #" + strconv.Itoa(k.n)
	}
	return head + "\n- " + k.old + "\n+ " + k.new + "\n"
}

// functionName returns the name of a function, for example "API.login" for a method,
// or "-" if decl is nil.
func functionName(decl *ast.FuncDecl) string {
	if decl == nil {
		return "-"
	}
	if decl.Recv == nil {
		return decl.Name.Name
	}
	t := decl.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + decl.Name.Name
		default:
			return decl.Name.Name
		}
	}
}
