// Package floor builds a minimal server in C. Its cost is a lower bound for the cost
// of any server, because it only calls write(2) with the same bytes for each socket.
// It reads the same commands as the other servers (see package control).
package floor

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The source is in a directory of its own: the go command would compile a C file in
// this directory as a part of this package.
//
//go:embed src/floor.c
var source string

// Build compiles the server into dir and returns its path. The argument of the
// server is the number of events that it writes with one call of write(2).
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
