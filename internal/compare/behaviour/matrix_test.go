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

// perCase bounds one case of one library. Whoever is not done then has failed.
const perCase = 30 * time.Second

// library is who is compared. The order is that of the columns.
type library struct {
	name, module string

	decode *decodeAdapter // nil: it has no such part
	encode *encodeAdapter
	client clientAdapter
	server serverAdapter

	getOnly bool // its client has no other method
}

var libraries = []library{
	{"ours", "", &oursDecode, &oursEncode, oursClient, oursServer, false},
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

// outcome is a cell.
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

// behaviour is a row.
type behaviour struct {
	area   string
	rule   string // one sentence: what is right
	source string // who says so, and whose tracker or tests it is from
	run    func(*library) outcome
}

// The areas whose cells are processes of their own: a library's goroutine that
// panics, or never ends, is the failure of that cell only.
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
	for i, row := range rows {
		if cells[i][0] == fail {
			t.Errorf("%s: ours fails: %s (%s)", row.area, row.rule, row.source)
		}
	}
	compareTable(t, render(rows, cells))
}

// bounded runs a case, and takes a panic or an endless wait for a failure.
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
		t.Logf("%s, %s: not done after %v", lib.name, row.rule, perCase)
		return fail
	}
}

// cell names the one that a process is for.
const cell = "BEHAVIOUR_CELL"

// isolated runs a case in a process of its own.
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

// TestCell is what isolated starts.
func TestCell(t *testing.T) {
	var row, column int
	if _, err := fmt.Sscan(os.Getenv(cell), &row, &column); err != nil {
		t.Skip("not for a cell")
	}
	fmt.Printf("%s %s\n", cell, bounded(t, allRows()[row], &libraries[column]))
	os.Exit(0) // with all that is still running
}

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
			t.Errorf("%s is not what was found; run the test with -update.\ngot  %s\nwant %s",
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
			fmt.Fprintf(&b, "\n## %s\n\n| What is right |", area)
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
	b.WriteString("\n## Versions\n\n| | module | version |\n|---|---|---|\n")
	for _, lib := range libraries[1:] {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", lib.name, lib.module, compare.Version(lib.module))
	}
	return b.String()
}

const intro = `# Behaviour

Generated by the tests in internal/compare/behaviour; do not edit. ✓ it does, ✗ it does not, –
it has no such part, or cannot express the case. Every library is driven through its public
API, with its default settings unless a row says otherwise; shorter delays between attempts
are the one exception.

HTML is the [HTML Living Standard](https://html.spec.whatwg.org/multipage/server-sent-events.html);
a name with a number is an issue or pull request, a name with a test a test of that
repository at the version below. ogen's client is generated code and openai-go's and MCP
go-sdk's belong to their APIs, so their decoders are tried and their clients are not;
the MCP go-sdk is handed JSON-RPC messages, as it takes nothing else.
`
