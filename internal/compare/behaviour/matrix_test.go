package behaviour

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/compare"
)

var update = flag.Bool("update", false, "write docs/BEHAVIOUR.md")

const table = "../../../docs/BEHAVIOUR.md"

// perCase limits the time of one case with one library. If a case takes longer, the
// library fails the case.
const perCase = 30 * time.Second

// library is one of the compared libraries.
type library struct {
	name, module string

	decode *decodeAdapter // these four are nil if the library has no such part
	encode *encodeAdapter
	client clientAdapter
	server serverAdapter

	getOnly bool // the client supports only the method GET
}

// The order of libraries is the order of the columns.
var libraries = []library{
	{"sse", "", &sseDecode, &sseEncode, sseClient, sseServer, false},
	{"tmaxmax", "github.com/tmaxmax/go-sse",
		&tmaxmaxDecode, &tmaxmaxEncode, tmaxmaxClient, tmaxmaxServer, false},
	{"r3labs", "github.com/r3labs/sse/v2",
		&r3labsDecode, &r3labsEncode, r3labsClient, r3labsServer, true},
	{"launchdarkly", "github.com/launchdarkly/eventsource",
		&launchdarklyDecode, &launchdarklyEncode, launchdarklyClient, launchdarklyServer, false},
	{"donovanhide", "github.com/donovanhide/eventsource",
		&donovanhideDecode, &donovanhideEncode, donovanhideClient, donovanhideServer, false},
	{"ogen", "github.com/ogen-go/ogen", &ogenDecode, nil, nil, nil, false},
	{"openai-go", "github.com/openai/openai-go/v3", &openaiDecode, nil, nil, nil, false},
	{"MCP go-sdk", "github.com/modelcontextprotocol/go-sdk", &mcpDecode, nil, nil, mcpServer, false},
	{"gin-contrib", "github.com/gin-contrib/sse", &ginDecode, &ginEncode, nil, ginServer, false},
	{"alexandrevicenzi", "github.com/alexandrevicenzi/go-sse",
		nil, &alexandrevicenziEncode, nil, alexandrevicenziServer, false},
	{"datastar", "github.com/starfederation/datastar-go",
		nil, &datastarEncode, nil, datastarServer, false},
}

// outcome is the result of a case with a library. A cell of the table shows it.
type outcome string

const (
	pass          outcome = "✓"
	fail          outcome = "✗"
	notApplicable outcome = "–"
)

func passIf(ok bool) outcome {
	if ok {
		return pass
	}
	return fail
}

// behaviour is a case: a row of the table.
type behaviour struct {
	area   string
	rule   string // the correct behavior in one sentence
	source string // the section of the standard, and an issue or test of another library
	run    func(*library) outcome
}

// Each cell of these areas runs in a process of its own. If a goroutine of a library
// panics or never ends, it affects only that cell.
const (
	clients = "Client"
	servers = "Server"
)

func allRows() []behaviour {
	return slices.Concat(encodeRows(), decodeRows(), clientRows(), serverRows())
}

// TestMatrix runs all cases, several at a time.
func TestMatrix(t *testing.T) {
	rows := allRows()
	cells := make([][]outcome, len(rows))
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, row := range rows {
		cells[i] = make([]outcome, len(libraries))
		for j := range libraries {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if row.area == clients || row.area == servers {
					cells[i][j] = isolated(t, i, j)
				} else {
					cells[i][j] = bounded(t, row, &libraries[j])
				}
			})
		}
	}
	wg.Wait()
	// If this library fails a case, the table shows it. The log names the case too.
	for i, row := range rows {
		if cells[i][0] == fail {
			t.Logf("%s: this library fails: %s (%s)", row.area, row.rule, row.source)
		}
	}
	compareTable(t, render(rows, cells))
}

// bounded runs a case with a library. If the case panics, or takes longer than
// perCase, the outcome is fail.
func bounded(t *testing.T, row behaviour, lib *library) outcome {
	result := make(chan outcome, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				t.Logf("%s, %s: panic: %v\n%s", lib.name, row.rule, r, debug.Stack())
				result <- fail
			}
		}()
		result <- row.run(lib)
	}()
	select {
	case o := <-result:
		return o
	case <-time.After(perCase):
		t.Logf("%s, %s: not finished after %v", lib.name, row.rule, perCase)
		return fail
	}
}

// cell is an environment variable. It contains the row and the column of the cell
// that a process must compute.
const cell = "BEHAVIOUR_CELL"

// isolated runs a case in its own process.
func isolated(t *testing.T, row, column int) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), 2*perCase)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCell$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", cell, row, column))
	out, err := cmd.CombinedOutput()
	for _, o := range []outcome{pass, fail, notApplicable} {
		if err == nil && bytes.Contains(out, []byte(cell+" "+string(o)+"\n")) {
			return o
		}
	}
	t.Logf("%s, %s: %v\n%s", libraries[column].name, allRows()[row].rule, err, out)
	return fail
}

// TestCell runs one case in a process that isolated has started. In other processes
// it is skipped.
func TestCell(t *testing.T) {
	var row, column int
	if _, err := fmt.Sscan(os.Getenv(cell), &row, &column); err != nil {
		t.Skip("runs only in a process that TestMatrix starts")
	}
	fmt.Printf("%s %s\n", cell, bounded(t, allRows()[row], &libraries[column]))
	os.Exit(0) // also ends goroutines that are still running
}

// compareTable compares the table with the file. With -update, it writes the file.
func compareTable(t *testing.T, got string) {
	if *update {
		if err := os.WriteFile(table, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("%s must equal the results: run this test with -update\nresult: %s\nfile:   %s",
				table, g, w)
		}
	}
}

func render(rows []behaviour, cells [][]outcome) string {
	var b strings.Builder
	b.WriteString(intro)
	area := ""
	for i, row := range rows {
		if row.area != area {
			area = row.area
			fmt.Fprintf(&b, "\n## %s\n\n| Rule |", area)
			for _, lib := range libraries {
				fmt.Fprintf(&b, " %s |", lib.name)
			}
			b.WriteString("\n|---|" + strings.Repeat(":-:|", len(libraries)) + "\n")
		}
		fmt.Fprintf(&b, "| %s *%s* |", row.rule, row.source)
		for _, cell := range cells[i] {
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Versions\n\n| library | module | version |\n|---|---|---|\n")
	for _, lib := range libraries[1:] {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", lib.name, lib.module, compare.Version(lib.module))
	}
	return b.String()
}

const intro = `# Behavior

Generated by ` + "`make compare`" + `; do not edit.

This page compares this library (sse) with other libraries. Each row is a rule, followed by its
sources.

- ✓ means that the library follows the rule.
- ✗ means that the library does not follow the rule.
- – means that the library has no such part, or cannot express the case.

The tests in internal/compare/behaviour call every library through its public API. They use the
default settings of the library unless a row says otherwise, except that the delays between
attempts are shorter.

HTML is the [HTML Living Standard](https://html.spec.whatwg.org/multipage/server-sent-events.html).
A repository with a number is an issue or a pull request. A repository with the name of a test is
that test, at the version below. The client of ogen is generated code, and the clients of openai-go
and the MCP go-sdk belong to their APIs. Therefore the decoders of these three libraries are tested,
but not their clients. The MCP go-sdk receives JSON-RPC messages, because it accepts nothing else.
`
