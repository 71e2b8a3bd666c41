package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// skipMissing skips a test because a program is not installed. If the
// environment has CI=true, it fails the test instead. The parameter what names the
// program, and install is a command or an address.
func skipMissing(t *testing.T, what, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s must be installed: %s (or run .ci/interop to install all programs)", what, install)
	}
	t.Skipf("%s must be installed: %s (or run .ci/interop to install all programs)", what, install)
}

// skipIfShort skips the test if -short is set. Tests that start processes call it.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
}

// findProgram returns the path of the first of programs that is installed. Each of
// them is a name or a pattern of paths. If none is installed, or -short is set, it
// skips the test.
func findProgram(t *testing.T, what, install string, programs ...string) string {
	t.Helper()
	skipIfShort(t)
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil || errors.Is(err, exec.ErrDot) {
			return path
		}
		if found, _ := filepath.Glob(program); len(found) > 0 {
			return found[0]
		}
	}
	skipMissing(t, what, install)
	return ""
}

// findNode returns the path of node. It skips the test if node is too old for the
// packages of package.json, or if these packages are not installed.
func findNode(t *testing.T) string {
	t.Helper()
	node := findProgram(t, "node", "https://nodejs.org, 20.18 or later", "node", "nodejs")
	version, err := exec.Command(node, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(version), "v%d.%d", &major, &minor); err != nil {
		t.Fatalf("%s --version: %q: %v", node, version, err)
	}
	if major < 20 || major == 20 && minor < 18 {
		skipMissing(t, "node 20.18 or later, but "+strings.TrimSpace(string(version)),
			"https://nodejs.org")
	}
	if _, err := os.Stat("node_modules/better-sse"); err != nil {
		skipMissing(t, "node_modules", "cd internal/interop && npm ci")
	}
	return node
}

// logVersion runs a program with a flag that prints its version, and logs the first
// line of the output.
func logVersion(t *testing.T, env []string, program string, flag string) {
	t.Helper()
	cmd := exec.Command(program, flag)
	cmd.Env = append(os.Environ(), env...)
	version, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s %s: %v", program, flag, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	t.Log(line)
}
