// Package middleware_test has no package beside it: it makes docs/MIDDLEWARE.md.
package middleware_test

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/MIDDLEWARE.md")

const written = "../../../docs/MIDDLEWARE.md"

//go:embed page.md
var page string // TABLE stands for the table

const tableHead = "| middleware | version | HTTP/1.1 | HTTP/2 " +
	"| without `WriteTimeout` | what to do |\n|---|---|---|---|---|---|\n"

// TestMiddleware tries every row in every setup, and compares what it finds with
// docs/MIDDLEWARE.md.
func TestMiddleware(t *testing.T) {
	table := strings.Builder{}
	table.WriteString(tableHead)
	partial := false // some cells were not tried: this makes no page
	for _, row := range rows {
		var versions [2]string // of HTTP
		var without string     // a WriteTimeout
		t.Run(strings.ReplaceAll(row.name, "`", ""), func(t *testing.T) {
			for i, http2 := range []bool{false, true} {
				versions[i] = cell(t, row, setup{http2: http2, writeTimeout: 2 * time.Second})
				unlimited := cell(t, row, setup{http2: http2})
				if without = "the same"; unlimited != versions[i] {
					without = unlimited
				}
			}
		})
		if versions[0] == "" || versions[1] == "" {
			partial = true // by -run
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n",
			row.name, version(t, row.module), versions[0], versions[1], without, row.advice)
	}
	if t.Failed() || partial {
		return
	}
	found := strings.Replace(strings.ReplaceAll(page, "\r\n", "\n"), "TABLE\n", table.String()+"\n", 1)
	if *update {
		if err := os.WriteFile(written, []byte(found), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	file, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(file), "\r\n", "\n"); got != found {
		t.Errorf("docs/MIDDLEWARE.md is not what was found; "+
			"look at it, and run this test with -update:\n%s", difference(got, found))
	}
}

// cell says what happens to clients that do not accept gzip, and to those that do.
func cell(t *testing.T, row row, setup setup) string {
	results := map[bool]string{}
	for _, setup.gzip = range []bool{false, true} {
		name := fmt.Sprintf("http2=%v,gzip=%v,WriteTimeout=%v",
			setup.http2, setup.gzip, setup.writeTimeout)
		t.Run(name, func(t *testing.T) { results[setup.gzip] = run(t, row, setup) })
	}
	text := results[false]
	switch results[true] {
	case text:
	case compressed:
		text = "streams, compressed if the client accepts gzip"
	default:
		text += "; if the client accepts gzip, " + results[true]
	}
	if row.ends > 0 {
		text += ", until its time is up"
	}
	return text
}

// version is what go.mod pins.
func version(t *testing.T, module string) string {
	if module == "" {
		return ""
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == module {
			return words[1]
		}
	}
	t.Fatalf("go.mod does not require %s", module)
	return ""
}

// difference returns the first line in which two texts differ.
func difference(got, want string) string {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			return fmt.Sprintf("line %d\nfile:  %s\nfound: %s", i+1, gotLines[i], wantLines[i])
		}
	}
	return fmt.Sprintf("%d lines in the file, %d found", len(gotLines), len(wantLines))
}
