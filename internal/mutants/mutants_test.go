package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.." // the directory of package sse

// programs are the packages whose tests run the resume property: the first with held
// streams, the second with parked streams.
var programs = []string{"./internal/property", "."}

// source returns the content of the mutated file. It fails the test unless the
// original file contains m.old exactly once.
func (m *mutant) source(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s must contain this text once, but contains it %d times: %s", m.file, n, m.old)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1))
}

func TestMutantsApply(t *testing.T) {
	for _, m := range list {
		t.Run(m.name, func(t *testing.T) { m.source(t) })
	}
}

// Each mutant must make the resume property fail. The environment variable
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
	var mutants []mutant
	most := defaultSteps
	for _, m := range list {
		if wanted.MatchString(m.name) {
			mutants = append(mutants, m)
			most = max(most, m.steps)
		}
	}
	// A program that fails without a mutant would also fail with each mutant.
	if !t.Run("no mutant", func(t *testing.T) { checkPrograms(t, most) }) {
		return
	}
	killed := 0
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			if m.dies(t) {
				killed++
			}
		})
	}
	t.Logf("%d mutants killed", killed)
}

// checkPrograms checks that each program runs the property, and passes with the
// original source.
func checkPrograms(t *testing.T, steps int) {
	t.Helper()
	for _, program := range programs {
		out, ok := runProgram(t, program, steps)
		if !ok {
			t.Errorf("%s fails without a mutant: %s", program, failure(out))
		} else if bytes.Contains(out, []byte("no tests to run")) {
			t.Errorf("%s has no test of the resume property", program)
		}
	}
}

// dies runs the programs with the mutant, one after the other, until a program fails.
// It reports whether a program failed.
func (m *mutant) dies(t *testing.T) bool {
	t.Helper()
	original, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, filepath.Base(m.file))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	for name, data := range map[string][]byte{mutated: m.source(t), overlayFile: overlay} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := m.steps
	if steps == 0 {
		steps = defaultSteps
	}
	for _, program := range programs {
		if out, ok := runProgram(t, program, steps, "-overlay", overlayFile); !ok {
			t.Logf("%s: %.150s", program, failure(out))
			return true
		}
	}
	t.Errorf("the mutant survives %d steps", steps)
	return false
}

// runProgram builds the tests of a package, and runs the property for a number of
// steps. It returns the output, and reports whether the tests passed.
func runProgram(t *testing.T, program string, steps int, buildFlags ...string) ([]byte, bool) {
	t.Helper()
	test := filepath.Join(t.TempDir(), "program.test")
	build := exec.Command("go", append(append([]string{"test", "-c", "-o", test}, buildFlags...),
		program)...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the program does not compile: %v\n%s", err, out)
	}
	// A mutant may loop forever or allocate without a limit.
	run := exec.Command(test, "-test.run", "^TestResumeProperty", "-test.timeout", "10m",
		"-test.failfast")
	run.Dir = filepath.Join(root, program)
	run.Env = append(os.Environ(), "SSE_TEST_STEPS="+strconv.Itoa(steps), "SSE_TEST_SEED=",
		"GOMEMLIMIT=1GiB")
	out, err := run.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("the program cannot be run: %v", err)
	}
	return out, err == nil
}

// message matches the first line of a failure or of a panic. The other lines that
// the test of the property logs are counts.
var message = regexp.MustCompile(
	`(?m)^(?:\s+(?:world|property)\.go:\d+: |.* did not happen in |panic: ).*`)

// failure returns the line of a program's output that contains the reason for its
// failure. If there is no such line, it returns the first line.
func failure(out []byte) []byte {
	if line := message.Find(out); line != nil {
		return bytes.TrimSpace(line)
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return first
}
