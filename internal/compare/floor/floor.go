// Package floor builds a minimal server in C, as a lower bound of the cost of a
// server: it only calls write(2) with the same bytes for each socket. It reads
// the same commands as the other servers (see package control).
package floor

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The source is in its own directory, because Go uses C files in a package with
// cgo.
//
//go:embed src/floor.c
var source string

// Build compiles the program into dir and returns its path. The argument of the
// program is the number of events that it puts into one write.
func Build(dir string) (string, error) {
	path := filepath.Join(dir, "floor")
	if err := os.WriteFile(path+".c", []byte(source), 0o644); err != nil {
		return "", err
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-Werror", "-o", path, path + ".c"}
	if output, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s: %w (install gcc, for example with "+
			"apt-get install gcc libc6-dev, or exclude floor with -servers)\n%s",
			strings.Join(args, " "), err, output)
	}
	return path, nil
}

// Version returns the version of the compiler and its options.
func Version() string {
	output, err := exec.Command("gcc", "-dumpfullversion").Output()
	if err != nil {
		return err.Error()
	}
	return "gcc " + strings.TrimSpace(string(output)) + " -O2"
}
