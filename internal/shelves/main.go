// Command shelves measures how the files of package sse depend on each other, and
// fails if a limit is exceeded. A shelf is a group of files. The table in table.go
// assigns every file to a shelf, and lists the shelves from the bottom to the top. A
// file may use files on its own shelf and on lower shelves. A use of a higher shelf
// is an upward use. The number of upward uses is limited, unless both shelves are on
// the same floor.
//
//	go run ./internal/shelves      # figures, and every limit that is exceeded
//	go run ./internal/shelves -v   # also the lists behind the figures
//
// It exits with 1 if a limit is exceeded, and with 2 if it cannot measure.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// The limits.
const (
	maxUpward     = 8  // upward uses
	maxMutual     = 20 // pairs of files that use each other
	maxTypeFiles  = 3  // files with methods of one type
	maxStateFiles = 5  // files with methods of the type stateType
	maxFileLines  = 500
	maxTestFiles  = 50 // test files in the root directory
	stateType     = "state"
)

func main() {
	verbose := flag.Bool("v", false, "list everything that is counted")
	dir := flag.String("dir", ".", "measure the package in `directory`")
	flag.Parse()
	ok, err := run(os.Stdout, *dir, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shelves:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run measures the package in dir and prints the figures. It reports whether all
// figures are within their limits.
func run(w io.Writer, dir string, verbose bool) (bool, error) {
	at, err := place(shelves)
	if err != nil {
		return false, err
	}
	s, err := load(dir)
	if err != nil {
		return false, err
	}
	long, err := longFiles(dir, maxFileLines)
	if err != nil {
		return false, err
	}
	p := printer{w: w, verbose: verbose}
	p.print(measure(s, at), long, s.tests)
	return !p.exceeded, nil
}

// A printer writes figures, and records whether a figure exceeds its limit.
type printer struct {
	w        io.Writer
	verbose  bool // print every list
	exceeded bool // a figure has exceeded its limit
}

func (p *printer) print(f *figures, longFiles []string, tests int) {
	p.count("files", f.files)
	p.limited("files on no shelf: add them to internal/shelves/table.go", f.unknown, 0)
	p.limited("names in the table without a file", f.missing, 0)
	p.list("edges: pairs of files of which one uses the other", f.edges)
	p.limited("mutual pairs of files", f.mutual, maxMutual)
	p.limited("upward uses", f.upward, maxUpward)
	p.list("upward uses within a floor", f.sameFloor)
	p.types(f.scattered)
	p.limited(fmt.Sprintf("files over %d lines", maxFileLines), longFiles, 0)
	p.figure("test files in the root directory", tests, maxTestFiles)
	p.count("functions", f.functions)
	p.count("lines of a function at the 90th percentile", f.p90)
	p.list(fmt.Sprintf("functions over %d lines", longFunction), f.long)
}

// count prints a figure without a limit.
func (p *printer) count(name string, n int) {
	_, _ = fmt.Fprintf(p.w, "%4d  %s\n", n, name)
}

// figure prints a figure with a limit, and reports whether the figure exceeds the
// limit.
func (p *printer) figure(name string, n, limit int) bool {
	if n <= limit {
		_, _ = fmt.Fprintf(p.w, "%4d  %s (at most %d)\n", n, name, limit)
		return false
	}
	p.exceeded = true
	_, _ = fmt.Fprintf(p.w, "%4d  %s (at most %d) EXCEEDED\n", n, name, limit)
	return true
}

// limited prints the length of a list that has a limit. If the length exceeds the
// limit, it also prints the list.
func (p *printer) limited(name string, list []string, limit int) {
	if p.figure(name, len(list), limit) || p.verbose {
		p.lines(list)
	}
}

// list prints the length of a list that has no limit.
func (p *printer) list(name string, list []string) {
	p.count(name, len(list))
	if p.verbose {
		p.lines(list)
	}
}

func (p *printer) lines(list []string) {
	for _, line := range list {
		_, _ = fmt.Fprintf(p.w, "        %s\n", line)
	}
}

// types prints the types whose methods are in too many files. The argument has the
// types whose methods are in more than one file.
func (p *printer) types(list []scattered) {
	var bad, all []string
	for _, t := range list {
		limit := maxTypeFiles
		if t.name == stateType {
			limit = maxStateFiles
		}
		line := fmt.Sprintf("%s: %d methods in %d files: %s",
			t.name, t.methods, len(t.files), strings.Join(t.files, " "))
		if len(t.files) > limit {
			bad = append(bad, fmt.Sprintf("%s (at most %d)", line, limit))
		}
		all = append(all, line)
	}
	p.limited("types with methods in too many files", bad, 0)
	if p.verbose {
		p.list("types with methods in several files", all)
	}
}
