package mutants

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.." // of package sse

// source is the file with the mutation.
func (m *mutant) source(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s has %d times, not once: %s", m.file, n, m.old)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1))
}

func TestMutantsApply(t *testing.T) {
	for _, m := range list {
		t.Run(m.name, func(t *testing.T) { m.source(t) })
	}
}

// SSE_TEST_MUTANTS is a regular expression for the names of the mutants to run.
func TestMutantsDie(t *testing.T) {
	text := os.Getenv("SSE_TEST_MUTANTS")
	if text == "" {
		t.Skip("takes minutes: set SSE_TEST_MUTANTS to . to run it")
	}
	wanted, err := regexp.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, m := range list {
		if !wanted.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			if m.dies(t) {
				killed++
			}
		})
	}
	t.Logf("%d mutants killed", killed)
}

// dies runs the property with the mutant, and reports whether it failed.
func (m *mutant) dies(t *testing.T) bool {
	t.Helper()
	original, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, m.file)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{mutated: m.source(t), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := m.steps
	if steps == 0 {
		steps = 30_000
	}
	test := filepath.Join(dir, "sse.test")
	build := exec.Command("go", "test", "-c", "-o", test, "-overlay", filepath.Join(dir, "overlay.json"), ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("it does not compile: %v\n%s", err, out)
	}
	// A mutant may not come to an end, nor be content with the memory there is.
	run := exec.Command(test, "-test.run", "^TestResumeProperty$", "-test.timeout", "10m", "-test.failfast")
	run.Dir = root
	run.Env = append(os.Environ(), "SSE_TEST_STEPS="+strconv.Itoa(steps), "SSE_TEST_SEED=", "GOMEMLIMIT=1GiB")
	out, err := run.CombinedOutput()
	if err == nil {
		t.Errorf("it survives %d steps", steps)
		return false
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	for _, line := range bytes.Split(out, []byte("\n")) {
		if bytes.Contains(line, []byte("property_")) && bytes.Contains(line, []byte("_test.go:")) || bytes.Contains(line, []byte("panic: ")) {
			first = bytes.TrimSpace(line)
			break
		}
	}
	t.Logf("%.150s", first)
	return true
}
