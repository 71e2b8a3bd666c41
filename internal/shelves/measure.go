package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// figures are the measurements of a package.
type figures struct {
	files     int
	unknown   []string // files that are on no shelf
	missing   []string // names in the table for which no file exists
	edges     []string // "a.go b.go": a uses b
	mutual    []string // pairs of files that use each other
	upward    []string // uses of a shelf on a higher floor
	sameFloor []string // uses of a higher shelf on the same floor; they are allowed
	scattered []scattered
	functions int
	long      []string // functions over longFunction lines
	p90       int      // nine of ten functions have at most this many lines
}

// scattered is a type with methods in more than one file.
type scattered struct {
	name    string
	methods int
	files   []string
}

// longFunction is the largest number of lines of a function that is not listed.
const longFunction = 50

// measure counts how the files of a package depend on each other.
func measure(s *source, at placement) *figures {
	f := &figures{files: len(s.names), unknown: at.unknown(s.names),
		missing: at.missing(s.names)}
	f.countUses(s, at)
	f.countMethods(s)
	f.countLines(s)
	return f
}

// A use means that a package-level declaration refers, once or several times, to an
// object that is declared in another file.
type use struct {
	from token.Pos // position of the declaration
	to   types.Object
}

// countUses finds the edges between files and the upward uses.
func (f *figures) countUses(s *source, at placement) {
	edges := make(map[[2]string]bool)
	upward := make(map[use]token.Pos) // position of the first reference
	for id, obj := range s.uses {
		if obj = origin(obj); !ofPackage(obj, s.pkg) {
			continue
		}
		from, to := s.fileOf(id.Pos()), s.fileOf(obj.Pos())
		if from == to {
			continue
		}
		edges[[2]string{from, to}] = true
		if low, high := at.of(from), at.of(to); above(low, high) {
			u := use{s.declarationAt(id.Pos()), obj}
			if first, ok := upward[u]; !ok || id.Pos() < first {
				upward[u] = id.Pos()
			}
		}
	}
	for e := range edges {
		f.edges = append(f.edges, e[0]+" "+e[1])
		if e[0] < e[1] && edges[[2]string{e[1], e[0]}] {
			f.mutual = append(f.mutual, e[0]+" "+e[1])
		}
	}
	slices.Sort(f.edges)
	slices.Sort(f.mutual)
	f.listUpward(s, at, upward)
}

func (f *figures) listUpward(s *source, at placement, upward map[use]token.Pos) {
	uses := slices.SortedFunc(maps.Keys(upward), func(a, b use) int {
		return cmp.Compare(upward[a], upward[b])
	})
	for _, u := range uses {
		pos := s.set.Position(upward[u])
		from, to := s.fileOf(upward[u]), s.fileOf(u.to.Pos())
		line := fmt.Sprintf("%s:%d: %s -> %s: %s in %s", from, pos.Line,
			at.of(from).name, at.of(to).name, describe(u.to), to)
		if at.of(from).floor == at.of(to).floor {
			f.sameFloor = append(f.sameFloor, line)
		} else {
			f.upward = append(f.upward, line)
		}
	}
}

// above reports whether high is a shelf above low, on the same floor or a
// higher floor.
func above(low, high *shelf) bool {
	return low != nil && high != nil && low.order < high.order
}

// origin returns the generic declaration of obj if obj is an instance of a generic
// function, method or field. Otherwise it returns obj.
func origin(obj types.Object) types.Object {
	switch o := obj.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	}
	return obj
}

// ofPackage reports whether obj is declared at the package level of pkg, or is a
// method or a field in pkg.
func ofPackage(obj types.Object, pkg *types.Package) bool {
	if obj.Pkg() != pkg {
		return false
	}
	switch o := obj.(type) {
	case *types.Func:
		return true
	case *types.Var:
		return o.IsField() || o.Parent() == pkg.Scope()
	}
	return obj.Parent() == pkg.Scope()
}

// describe returns the name of an object for a message: for example "admit",
// "state.admit" for a method, or "field mu".
func describe(obj types.Object) string {
	switch o := obj.(type) {
	case *types.Func:
		if recv := o.Signature().Recv(); recv != nil {
			return typeName(recv.Type()) + "." + o.Name()
		}
	case *types.Var:
		if o.IsField() {
			return "field " + o.Name()
		}
	}
	return obj.Name()
}

// typeName returns the name of a receiver's type.
func typeName(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return t.String()
}

// countMethods finds the types with methods in more than one file.
func (f *figures) countMethods(s *source) {
	types := make(map[string]*scattered)
	for decl := range s.functions() {
		if decl.Recv == nil {
			continue
		}
		name := receiver(decl.Recv.List[0].Type)
		t := types[name]
		if t == nil {
			t = &scattered{name: name}
			types[name] = t
		}
		t.methods++
		if file := s.fileOf(decl.Pos()); !slices.Contains(t.files, file) {
			t.files = append(t.files, file)
		}
	}
	for _, t := range types {
		if len(t.files) > 1 {
			slices.Sort(t.files)
			f.scattered = append(f.scattered, *t)
		}
	}
	slices.SortFunc(f.scattered, func(a, b scattered) int {
		return cmp.Or(cmp.Compare(len(b.files), len(a.files)), strings.Compare(a.name, b.name))
	})
}

// receiver returns the name of the type in a receiver's declaration.
func receiver(e ast.Expr) string {
	for {
		switch t := e.(type) {
		case *ast.StarExpr:
			e = t.X
		case *ast.ParenExpr:
			e = t.X
		case *ast.IndexExpr:
			e = t.X
		case *ast.IndexListExpr:
			e = t.X
		case *ast.Ident:
			return t.Name
		default:
			return "?"
		}
	}
}

// countLines counts the functions and their lines.
func (f *figures) countLines(s *source) {
	var lengths []int
	for decl := range s.functions() {
		begin, end := s.set.Position(decl.Pos()), s.set.Position(decl.End())
		n := end.Line - begin.Line + 1
		lengths = append(lengths, n)
		if n > longFunction {
			f.long = append(f.long, fmt.Sprintf("%s:%d: %s: %d lines",
				s.fileOf(decl.Pos()), begin.Line, decl.Name.Name, n))
		}
	}
	if f.functions = len(lengths); f.functions > 0 {
		slices.Sort(lengths)
		f.p90 = lengths[(f.functions*9+9)/10-1]
	}
}
