// Command mutate changes a package in small ways, one at a time, and runs the
// tests of the package with each change. A changed package is a mutant. If a test
// fails, the mutant is killed. A mutant that survives shows code that the tests do
// not check.
//
//	make mutate PKG=./cmd/sse/internal/auth
//	make mutate PKG=. FILES=limits.go,admit.go
//
// A change replaces an operator, makes a condition constant, moves a bound by one,
// deletes a statement or an element, drops an error, or makes a loop skip items.
// docs/adr/0028 gives the reasons for a tool of our own.
//
// Each surviving mutant is printed with its file and line, in the form of
// internal/mutate/equivalent.txt. If no test can kill a mutant, because it behaves
// like the original for every caller, add the mutant to that file with the reason.
//
// The command exits with 1 if a mutant survives that is not in equivalent.txt, if an
// entry of equivalent.txt matches no mutant, or if fewer than -min percent of all
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

// config is the command line. The flags below have help texts in main.
type config struct {
	pattern string   // the package
	files   []string // names of the files to change; if empty, all
	list    bool
	alone   bool
	recheck bool
	minimum float64 // percent
	share   share
}

// share is a part of all mutants: the kth of n parts. The first part has the number
// 1.
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

// selectFrom returns the mutants of the part: every nth mutant, so that each part
// has mutants of each file.
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

// run runs the mutants and prints a report. The current directory must be the root
// of the repository. run reports whether the command must exit with 0.
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
