// Command mutate changes a package in small ways, one at a time, and runs the
// tests of the package with each change. A change that no test detects shows
// code that the tests do not check.
//
//	make mutate PKG=./cmd/sse/internal/auth
//	make mutate PKG=. FILES=limits.go,admit.go
//
// The changes are operators, conditions that become constant, bounds that are
// off by one, deleted statements and elements, dropped errors, and loops that
// skip items. docs/adr/0028 gives the reasons for a tool of our own.
//
// Each surviving mutant is printed with its file and line, in the form of
// internal/mutate/equivalent.txt. If no test can detect a mutant, because its
// behavior is the same for every caller, add it to that file with the reason.
//
// The command exits with 1 if a mutant survives that is not in the file, if an
// entry of the file matches no mutant, or if fewer than -min percent of all
// mutants are killed. It exits with 2 if it cannot run.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// config is the command line.
type config struct {
	pattern string
	files   []string
	list    bool
	alone   bool
	recheck bool
	minimum float64 // percent
	share   share
}

// share is a part of all mutants: the part k of n, from 1.
type share struct{ k, n int }

// Set implements [flag.Value].
func (s *share) Set(text string) error {
	var part share
	var rest string
	n, _ := fmt.Sscanf(text, "%d/%d%s", &part.k, &part.n, &rest)
	if n != 2 || part.k < 1 || part.k > part.n {
		return fmt.Errorf("must be K/N with K from 1 to N, for example 1/7")
	}
	*s = part
	return nil
}

// String implements [flag.Value].
func (s *share) String() string { return fmt.Sprintf("%d/%d", s.k, s.n) }

// selectFrom returns the mutants of the part: every n-th, so that each part has
// some of each file.
func (s *share) selectFrom(mutants []*mutant) []*mutant {
	var selected []*mutant
	for i := s.k - 1; i < len(mutants); i += s.n {
		selected = append(selected, mutants[i])
	}
	return selected
}

const equivalents = "internal/mutate/equivalent.txt"

func main() {
	c := config{share: share{1, 1}}
	files := flag.String("files", "", "change only these `files` of the package, separated by commas")
	flag.BoolVar(&c.list, "list", false, "print the mutants without running them")
	flag.BoolVar(&c.alone, "alone", false, "build a program for each mutant (slow)")
	flag.BoolVar(&c.recheck, "recheck", false, "run the equivalent mutants too; fail if one is killed")
	flag.Float64Var(&c.minimum, "min", 95, "fail if fewer than `percent` of the mutants are killed")
	flag.Var(&c.share, "share", "run part `K/N` of the mutants, for example 1/7")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/mutate [flags] PACKAGE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	c.pattern = flag.Arg(0)
	if *files != "" {
		c.files = strings.Split(*files, ",")
	}
	ok, err := run(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run runs the mutants in the current directory, which is the root of the
// repository, and reports whether the tests are good enough.
func run(c config) (bool, error) {
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(filepath.Join(root, equivalents))
	if err != nil {
		return false, fmt.Errorf("run this in the root of the repository: %w", err)
	}
	known, err := parseEquivalents(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", equivalents, err)
	}
	s, err := load(root, c.pattern)
	if err != nil {
		return false, err
	}
	files, err := s.selectFiles(c.files)
	if err != nil {
		return false, err
	}
	mutants, err := s.keepCompiling(find(s, files), c.alone)
	if err != nil {
		return false, err
	}
	found, stale := markEquivalents(known, mutants, files)
	r := &report{out: &bytes.Buffer{}, config: c, equivalents: found, stale: stale}
	r.mutants = c.share.selectFrom(mutants)
	ok := len(stale) == 0
	if c.list {
		r.list()
	} else {
		if err := r.test(s, mutants); err != nil {
			return false, err
		}
		ok = r.print()
	}
	_, err = os.Stdout.Write(r.out.Bytes())
	return ok, err
}
