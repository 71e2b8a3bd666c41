// Command skips runs "go test" and fails if a test is skipped that is not on a
// list. It passes the arguments after the list to "go test -json". It prints the
// results of the packages, the output of failed tests and the skipped tests:
//
//	go run ./internal/skips -list .ci/skips -count=1 work
//
// A line of the list has a package, a regular expression that matches the whole
// name of a test, and a reason:
//
//	internal/mutants  TestMutantsDie  takes an hour
//
// The package is relative to the root module; "." is the root package. The command
// also fails if a line matches no skipped test. It exits with 1 if a test fails or
// the skipped tests differ from the list, and with 2 if it cannot run.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

const module = "github.com/sse-go/sse"

func main() {
	ok, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(w io.Writer, args []string) (bool, error) {
	if len(args) < 3 || args[0] != "-list" {
		return false, errors.New("the arguments must be: -list FILE, then the arguments of go test")
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return false, err
	}
	list, err := parseList(string(text))
	if err != nil {
		return false, fmt.Errorf("%s:%w", args[1], err)
	}
	test := exec.Command("go", append([]string{"test", "-json"}, args[2:]...)...)
	test.Stderr = os.Stderr
	out, err := test.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := test.Start(); err != nil {
		return false, err
	}
	results := &results{w: w, output: map[testName]string{}}
	readErr := results.read(out)
	testErr := test.Wait()
	if readErr != nil {
		return false, readErr
	}
	ok := testErr == nil
	if !ok {
		_, _ = fmt.Fprintf(w, "go test: %v\n", testErr)
	}
	for _, problem := range list.compare(w, results.skipped) {
		_, _ = fmt.Fprintf(w, "skips: %s\n", problem)
		ok = false
	}
	return ok, nil
}

// testName names a test of a package. If test is empty, it names the package itself.
type testName struct{ pkg, test string }

// skip is a skipped test with its output.
type skip struct {
	testName
	message string
}

// results reads the events of "go test -json".
type results struct {
	w       io.Writer
	output  map[testName]string // output so far of each test that has not ended
	skipped []skip
}

// event is an event of "go test -json". "go doc test2json" describes it.
type event struct {
	Action, Package, Test, Output string
}

func (r *results) read(in io.Reader) error {
	decoder := json.NewDecoder(in)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			_, _ = io.Copy(io.Discard, in) // so that go test can end
			return fmt.Errorf("go test -json: %w", err)
		}
		r.add(e)
	}
}

func (r *results) add(e event) {
	name := testName{relative(e.Package), e.Test}
	switch e.Action {
	case "build-output":
		_, _ = fmt.Fprint(r.w, e.Output)
	case "output":
		r.output[name] += e.Output
		if e.Test == "" && strings.HasPrefix(e.Output, "ok ") {
			_, _ = fmt.Fprint(r.w, e.Output)
		}
	case "pass":
		delete(r.output, name)
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, skip{name, message(r.output[name])})
		}
		delete(r.output, name)
	case "fail":
		r.printFailure(name)
	}
}

// printFailure prints the output of a failed test. For a failed package, it also
// prints the output of the package's tests that have not ended, for example because
// of a panic.
func (r *results) printFailure(failed testName) {
	for name, text := range r.output {
		if name == failed || failed.test == "" && name.pkg == failed.pkg && name.test != "" {
			_, _ = fmt.Fprint(r.w, text)
			delete(r.output, name)
		}
	}
}

// message returns the text that a test gave to Skip, without the lines of the
// testing package.
func message(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// relative returns the path of a package relative to the root module.
func relative(pkg string) string {
	if pkg == module {
		return "."
	}
	return strings.TrimPrefix(pkg, module+"/")
}
