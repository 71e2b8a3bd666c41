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

// lacking ends a test for want of something that can be installed.
func lacking(t *testing.T, what, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s; install it: %s (or all: .ci/interop)", what, install)
	}
	t.Skipf("there is no %s; install it: %s (or all: .ci/interop)", what, install)
}

// notShort skips what starts processes.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
}

// need returns the path of the first of several programs that is installed,
// which are names, or patterns of paths.
func need(t *testing.T, what, install string, programs ...string) string {
	t.Helper()
	notShort(t)
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil || errors.Is(err, exec.ErrDot) {
			return path
		}
		if found, _ := filepath.Glob(program); len(found) > 0 {
			return found[0]
		}
	}
	lacking(t, what, install)
	return ""
}

// needNode returns the path of a node that the pinned packages run on, and
// which finds them.
func needNode(t *testing.T) string {
	t.Helper()
	node := need(t, "node", "https://nodejs.org, 20.18 or later", "node", "nodejs")
	version, err := exec.Command(node, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(version), "v%d.%d", &major, &minor); err != nil {
		t.Fatalf("%s --version: %q: %v", node, version, err)
	}
	if major < 20 || major == 20 && minor < 18 {
		lacking(t, "node 20.18 or later, but "+strings.TrimSpace(string(version)),
			"https://nodejs.org")
	}
	if _, err := os.Stat("node_modules/better-sse"); err != nil {
		lacking(t, "node_modules", "cd internal/interop && npm ci")
	}
	return node
}

// logVersion tells with -v what was tested.
func logVersion(t *testing.T, env []string, program string, flag string) {
	t.Helper()
	cmd := exec.Command(program, flag)
	cmd.Env = append(os.Environ(), env...)
	version, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s %s: %v", program, flag, err)
	}
	t.Logf("%s", strings.TrimSpace(string(version)))
}
