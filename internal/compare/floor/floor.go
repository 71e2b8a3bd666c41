// Package floor is what no server can be cheaper than: a program in C that does
// nothing but write(2) the same bytes to each socket. It is driven by the same
// lines as the other servers (see package control).
package floor

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// In a directory of its own, since C in a Go package is taken for cgo's.
//
//go:embed src/floor.c
var source string

// Build compiles the program into dir, and returns its path. It takes the number
// of outstanding events that make one write as its argument.
func Build(dir string) (string, error) {
	path := filepath.Join(dir, "floor")
	if err := os.WriteFile(path+".c", []byte(source), 0o644); err != nil {
		return "", err
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-Werror", "-o", path, path + ".c"}
	if output, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s: %w (without gcc there is no floor to compare with: "+
			"apt-get install gcc libc6-dev, or leave it out by -servers)\n%s",
			strings.Join(args, " "), err, output)
	}
	return path, nil
}

// Version is that of the compiler.
func Version() string {
	output, err := exec.Command("gcc", "-dumpfullversion").Output()
	if err != nil {
		return err.Error()
	}
	return "gcc " + strings.TrimSpace(string(output)) + " -O2"
}
