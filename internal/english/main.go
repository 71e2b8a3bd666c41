// Command english finds English that is difficult to read, in comments,
// documentation and messages: see "Plain English" in CONTRIBUTING.md. It counts the
// matches of several kinds in each area of the repository. It lists the matches of
// a kind if an area has more matches per 1,000 words than the limit of that kind.
// British spelling is not allowed at all. The words are in words.txt.
//
//	go run ./internal/english          # the whole repository
//	go run ./internal/english docs     # one directory or file
//	go run ./internal/english -v docs  # list every match, also of kinds without a limit
//
// It exits with 1 if an area exceeds a limit, and with 2 if it cannot read a file.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	verbose := flag.Bool("v", false, "list every match, also within the limits")
	flag.Parse()
	roots := flag.Args()
	if len(roots) == 0 {
		roots = []string{"."}
	}
	ok, err := run(os.Stdout, roots, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "english:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run checks the files under roots and prints the figures. It reports whether every
// area is within the limits.
func run(w io.Writer, roots []string, verbose bool) (bool, error) {
	areas := make(map[string]*area)
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if path != root && skipDir(d.Name()) {
					return fs.SkipDir
				}
				return nil
			}
			texts, err := extract(path)
			if err != nil {
				return err
			}
			name := areaOf(root, path)
			a := areas[name]
			if a == nil {
				a = &area{name: name}
				areas[name] = a
			}
			a.add(texts)
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	ok := true
	for _, name := range slices.Sorted(maps.Keys(areas)) {
		if !areas[name].print(w, verbose) {
			ok = false
		}
	}
	return ok, nil
}

// skipDir reports whether a directory is skipped: hidden directories except .ci, fuzz
// inputs, and installed packages.
func skipDir(name string) bool {
	if name == ".ci" {
		return false
	}
	return strings.HasPrefix(name, ".") || name == "fuzz" || name == "node_modules"
}
