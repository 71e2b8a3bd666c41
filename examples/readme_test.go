package examples_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// block is a fenced block of a page: its info string, such as "sh" or
// "go minimal/server/main.go", and its lines.
type block struct {
	info  string
	lines []string
}

// readBlocks returns the fenced blocks of a page.
func readBlocks(t *testing.T, path string) (blocks []block) {
	t.Helper()
	inside := false
	for _, line := range readLines(t, path) {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			blocks = append(blocks, block{info: info})
		case !fence && inside:
			b := &blocks[len(blocks)-1]
			b.lines = append(b.lines, line)
		}
		inside = inside != fence
	}
	return blocks
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
}

// TestBlocksOfPage checks the Go blocks of README.md in this directory. If a block has a
// path, its lines must be in that file, in the same order. Other lines may be between
// them. Every other block is an intermediate version, and must be valid Go.
func TestBlocksOfPage(t *testing.T) {
	quoted := map[string]bool{}
	for _, b := range readBlocks(t, "README.md") {
		path, isQuote := strings.CutPrefix(b.info, "go ")
		switch {
		case isQuote:
			quoted[path] = true
			if missing := missingLine(b.lines, readLines(t, path)); missing != "" {
				t.Errorf("%s does not have this line, or has it in another place: %s", path, missing)
			}
		case b.info == "go":
			text := "package p\n" + strings.Join(b.lines, "\n")
			if _, err := parser.ParseFile(token.NewFileSet(), "", text, 0); err != nil {
				t.Errorf("%s: %v", b.lines[0], err)
			}
			if !strings.HasPrefix(b.lines[0], "// Step ") {
				t.Errorf("a block with neither a path nor a step: %s", b.lines[0])
			}
		}
	}
	for _, path := range []string{"minimal/server/main.go", "minimal/client/main.go"} {
		if !quoted[path] {
			t.Errorf("the page has no block of %s", path)
		}
	}
}

// missingLine checks that the lines of part are in whole, in the same order. It returns
// the first line that is missing or in another place, or "". It skips "// ...".
func missingLine(part, whole []string) string {
	for _, line := range part {
		if strings.TrimSpace(line) == "// ..." {
			continue
		}
		i := slices.Index(whole, line)
		if i < 0 {
			return line
		}
		whole = whole[i+1:]
	}
	return ""
}

// scenario is a block of a page with commands for three consoles.
type scenario struct {
	name   string
	server command
	client command
	last   []command // for console 3; each starts when the command before has ended
}

// command is a command line of a page, which is run from the root of the repository.
type command string

// atConsole matches a command line and the number of its console.
var atConsole = regexp.MustCompile(`^(.*?)\s+# console (\d)`)

// readScenarios returns the blocks of a page that have commands for consoles 1, 2 and 3.
func readScenarios(t *testing.T, page string) (scenarios []*scenario) {
	t.Helper()
	for _, b := range readBlocks(t, page) {
		s := &scenario{}
		for _, line := range b.lines {
			match := atConsole.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			switch line := command(match[1]); match[2] {
			case "1":
				s.server = line
			case "2":
				s.client = line
			case "3":
				s.last = append(s.last, line)
			}
		}
		if s.server != "" && s.client != "" && s.last != nil {
			s.name = fmt.Sprintf("%s, %d", filepath.Join("examples", page), len(scenarios)+1)
			scenarios = append(scenarios, s)
		}
	}
	return scenarios
}

// TestPages runs the commands of README.md and examples/README.md. It also runs the
// server of each pair in examples/README.md with the client of the other pair.
func TestPages(t *testing.T) {
	needPort(t)
	curlPath, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("curl must be installed in CI")
		}
		t.Skip("curl is not installed")
	}
	main, pairs := readScenarios(t, "../README.md"), readScenarios(t, "README.md")
	if len(main) != 3 || len(pairs) != 2 {
		t.Fatalf("got %d and %d blocks with three consoles, want 3 and 2", len(main), len(pairs))
	}
	mixed := []*scenario{
		{"first server, second client", pairs[0].server, pairs[1].client, pairs[0].last},
		{"second server, first client", pairs[1].server, pairs[0].client, pairs[1].last},
	}
	run := &runner{curl: curlPath, dir: t.TempDir(), built: map[string]string{}}
	for _, s := range slices.Concat(main, pairs, mixed) {
		t.Run(s.name, func(t *testing.T) {
			t.Setenv("SSE_SERVE_DATA", t.TempDir())
			run.scenario(t, s)
		})
	}
}

// runner runs commands, and builds each program once.
type runner struct {
	curl  string
	dir   string            // directory of the built programs
	built map[string]string // the key is directory and target, the value the executable
}

// scenario starts the server and the client, and then runs the last commands. The client
// must print the text of every -d, and "Hello" for a curl without options.
func (r *runner) scenario(t *testing.T, s *scenario) {
	server := r.start(t, s.server)
	waitListening(t, server)
	client := r.start(t, s.client)
	client.wait("a connection", deadline, func() bool {
		return countLines(client.stderr, "connected") > 0 ||
			countLines(client.stderr, established) > 0 || len(client.stdout) > 0
	})
	for _, line := range s.last {
		output := r.start(t, line)
		if err := output.waitExit(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		want := "Hello "
		words := line.words(t)
		if i := slices.Index(words, "-d"); i > 0 {
			want = words[i+1]
		}
		if slices.Contains(words, "DELETE") {
			client.waitLogOrder(ended, established)
			continue
		}
		client.wait(fmt.Sprintf("the output %q", want), deadline, func() bool {
			return countLines(client.stdout, want) == 1
		})
	}
}

// start starts a command line. Instead of "go run", it builds the program and starts the
// executable, so that a signal reaches the program.
func (r *runner) start(t *testing.T, line command) *program {
	t.Helper()
	dir, words := "..", line.words(t)
	if len(words) > 3 && words[0] == "cd" && words[2] == "&&" {
		dir, words = filepath.Join(dir, filepath.FromSlash(words[1])), words[3:]
	}
	switch {
	case words[0] == "curl":
		return start(t, r.curl, words[1:]...)
	case len(words) > 2 && words[0] == "go" && words[1] == "run":
		return start(t, r.build(t, dir, words[2]), words[3:]...)
	}
	t.Fatalf("%q must be a curl or a go run", line)
	return nil
}

// build builds the program target in dir.
func (r *runner) build(t *testing.T, dir, target string) string {
	t.Helper()
	key := dir + " " + target
	if r.built[key] == "" {
		path := filepath.Join(r.dir, fmt.Sprintf("%d.exe", len(r.built)))
		build := exec.Command("go", "build", "-o", path, target)
		build.Dir = dir
		if output, err := build.CombinedOutput(); err != nil {
			skipWithoutWorkspace(t, output)
			t.Fatalf("go build %s in %s: %v\n%s", target, dir, err, output)
		}
		r.built[key] = path
	}
	return r.built[key]
}

// words splits a command line at spaces, except within single quotes.
func (c command) words(t *testing.T) (words []string) {
	t.Helper()
	for i, part := range strings.Split(string(c), "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	if len(words) == 0 {
		t.Fatal("a console has no command")
	}
	return words
}

// TestSnippets compiles the three Go blocks of README.md and runs them. The first block is
// a server, and the second is a client, which must receive an event. The third block
// replaces the last line of the server. The server must then end without an error after
// an interrupt.
func TestSnippets(t *testing.T) {
	needPort(t)
	var blocks []string
	for _, b := range readBlocks(t, "../README.md") {
		if b.info == "go" {
			blocks = append(blocks, strings.Join(b.lines, "\n"))
		}
	}
	if len(blocks) != 3 {
		t.Fatalf("README.md has %d Go blocks, want 3", len(blocks))
	}
	const last = "\tlog.Fatal(http.ListenAndServe(\"localhost:3000\", nil))"
	attached := strings.Replace(blocks[0], last, blocks[2], 1)
	if attached == blocks[0] {
		t.Fatalf("the server of README.md has no line %q", last)
	}
	clientPath := buildSnippet(t, blocks[1])
	server := testSnippets(t, buildSnippet(t, blocks[0]), clientPath)
	server.kill()
	server = testSnippets(t, buildSnippet(t, attached), clientPath)
	server.interrupt()
	if server.exit != nil && runtime.GOOS != "windows" { // interrupt kills the process there
		t.Errorf("after an interrupt, the server has ended with %v", server.exit)
	}
}

// testSnippets starts a server and a client, and waits until the client has received
// an event. It returns the server, to which the client is still connected.
func testSnippets(t *testing.T, serverPath, clientPath string) (server *program) {
	t.Helper()
	server = start(t, serverPath)
	waitListening(t, server)
	client := start(t, clientPath)
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	timeout := time.After(deadline)
	for len(client.output()) == 0 { // the client logs nothing, so publish until it has an event
		mustPost(t, address, "/news", "hello")
		select {
		case <-retry.C:
		case <-timeout:
			t.Fatal("the client has printed nothing")
		}
	}
	if got := client.output()[0]; got != "hello" {
		t.Errorf("the client has printed %q, want %q", got, "hello")
	}
	return server
}

// buildSnippet adds the package clause and the imports to a snippet, and builds it.
func buildSnippet(t *testing.T, text string) (path string) {
	t.Helper()
	head := "package main\n\n"
	for _, path := range []string{"context", "fmt", "io", "log", "net/http", "os", "os/signal", "syscall",
		"time", "github.com/sse-go/sse"} {
		if strings.Contains(text, filepath.Base(path)+".") {
			head += fmt.Sprintf("import %q\n", path)
		}
	}
	dir := t.TempDir()
	source, path := filepath.Join(dir, "main.go"), filepath.Join(dir, "snippet.exe")
	if err := os.WriteFile(source, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("README.md: %v\n%s", err, output)
	}
	return path
}

// The programs with a broker, and the examples in the documentation, shut down in the same
// order: they wait for the signal, then call stop, and then begin the timeout of Shutdown.
func TestShutdownRecipe(t *testing.T) {
	steps := []string{
		"signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)",
		"<-interrupt.Done()",
		"stop()",
		"context.WithTimeout(context.Background(), ",
		"hutdown(ctx)",
	}
	for _, path := range []string{
		"../README.md", "../broker.go", "../example_test.go", "../example_broker_test.go",
		"resume/server/main.go", "tenants/main.go", "dashboard/main.go",
	} {
		rest := strings.Join(readLines(t, path), "\n")
		for _, step := range steps {
			before, after, ok := strings.Cut(rest, step)
			if !ok || step != steps[0] && strings.Contains(before, "context.WithTimeout(") {
				t.Errorf("%s: %s is missing, or a timeout begins before it", path, step)
			}
			rest = after
		}
	}
}
