// Package middleware_test tests streams behind middleware of other modules, and writes
// docs/MIDDLEWARE.md. This directory has only tests.
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

const pagePath = "../../../docs/MIDDLEWARE.md"

//go:embed page.md
var page string // the test replaces the line TABLE by the table

const tableHead = "| middleware | version | HTTP/1.1 | HTTP/2 " +
	"| without `WriteTimeout` | advice |\n|---|---|---|---|---|---|\n"

// TestMiddleware tests every row in every setup, and compares the results with
// docs/MIDDLEWARE.md.
func TestMiddleware(t *testing.T) {
	table := strings.Builder{}
	table.WriteString(tableHead)
	partial := false // true if -run excluded some cells, so that the table is incomplete
	for _, row := range rows {
		var results [2]string // by HTTP version
		var unlimited string  // without a WriteTimeout
		t.Run(strings.ReplaceAll(row.name, "`", ""), func(t *testing.T) {
			for i, http2 := range []bool{false, true} {
				results[i] = cell(t, row, setup{http2: http2, writeTimeout: 2 * time.Second})
				unlimited = cell(t, row, setup{http2: http2})
				if unlimited == results[i] {
					unlimited = "the same"
				}
			}
		})
		if results[0] == "" || results[1] == "" {
			partial = true
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n",
			row.name, version(t, row.module), results[0], results[1], unlimited, row.advice)
	}
	if t.Failed() || partial {
		return
	}
	want := strings.Replace(strings.ReplaceAll(page, "\r\n", "\n"), "TABLE\n", table.String()+"\n", 1)
	if *update {
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	file, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(file), "\r\n", "\n"); got != want {
		t.Errorf("docs/MIDDLEWARE.md differs from the results of this test; "+
			"check the difference, then run the test with -update:\n%s", difference(got, want))
	}
}

// cell returns the text of one cell: the results for a client that does not accept
// gzip and for a client that accepts it.
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
		text += ", until its time limit"
	}
	return text
}

// version returns the version of a module in go.mod.
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
			return fmt.Sprintf("line %d\ngot:  %s\nwant: %s", i+1, gotLines[i], wantLines[i])
		}
	}
	return fmt.Sprintf("%d lines in the file, want %d", len(gotLines), len(wantLines))
}
