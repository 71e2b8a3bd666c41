// Package middleware_test tests streams behind middleware of other modules, and writes
// docs/MIDDLEWARE.md. This directory has only tests.
package middleware_test

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"slices"
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
		var limited, unlimited [2]string // with and without a WriteTimeout; by HTTP version
		t.Run(strings.ReplaceAll(row.name, "`", ""), func(t *testing.T) {
			for i, http2 := range []bool{false, true} {
				limited[i] = cell(t, row, setup{http2: http2, writeTimeout: 2 * time.Second})
				unlimited[i] = cell(t, row, setup{http2: http2})
			}
		})
		if slices.Contains(slices.Concat(limited[:], unlimited[:]), "") {
			partial = true
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n",
			row.name, version(t, row.module), limited[0], limited[1],
			unlimitedText(limited, unlimited), row.advice)
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

// unlimitedText returns the text of the cell in the column "without WriteTimeout".
func unlimitedText(limited, unlimited [2]string) string {
	switch {
	case unlimited == limited:
		return "the same"
	case unlimited[0] == unlimited[1]:
		return unlimited[0]
	}
	return fmt.Sprintf("HTTP/1.1: %s. HTTP/2: %s", unlimited[0], unlimited[1])
}

// cell returns the text of one cell: the results for a client that does not accept
// gzip and for a client that accepts it. If -run excluded one of them, it returns "".
func cell(t *testing.T, row row, setup setup) string {
	results := map[bool]string{}
	for _, setup.gzip = range []bool{false, true} {
		name := fmt.Sprintf("http2=%v,gzip=%v,WriteTimeout=%v",
			setup.http2, setup.gzip, setup.writeTimeout)
		t.Run(name, func(t *testing.T) { results[setup.gzip] = run(t, row, setup) })
	}
	text := cellText(results[false], results[true])
	if text != "" && row.ends > 0 {
		text += ", until its time limit"
	}
	return text
}

// cellText joins the results for a client that does not accept gzip and for a client
// that accepts it.
func cellText(plain, gzip string) string {
	switch {
	case plain == "" || gzip == "":
		return ""
	case gzip == plain:
		return plain
	case gzip == compressed && plain == streams:
		return "streams, compressed if the client accepts gzip"
	}
	return plain + "; if the client accepts gzip, " + gzip
}

func TestCellTexts(t *testing.T) {
	for _, test := range []struct{ plain, gzip, want string }{
		{streams, streams, "streams"},
		{streams, compressed, "streams, compressed if the client accepts gzip"},
		{delays, compressed, "delays events; if the client accepts gzip, streams, compressed"},
		{streams, delays, "streams; if the client accepts gzip, delays events"},
		{"", streams, ""},
		{streams, "", ""},
	} {
		if got := cellText(test.plain, test.gzip); got != test.want {
			t.Errorf("cellText(%q, %q) = %q, want %q", test.plain, test.gzip, got, test.want)
		}
	}
	for _, test := range []struct {
		limited, unlimited [2]string // by HTTP version
		want               string
	}{
		{[2]string{"a", "a"}, [2]string{"a", "a"}, "the same"},
		{[2]string{"a", "b"}, [2]string{"a", "b"}, "the same"},
		{[2]string{"a", "a"}, [2]string{"b", "b"}, "b"},
		{[2]string{"a", "a"}, [2]string{"b", "a"}, "HTTP/1.1: b. HTTP/2: a"},
		{[2]string{"a", "a"}, [2]string{"a", "b"}, "HTTP/1.1: a. HTTP/2: b"},
		{[2]string{"a", "b"}, [2]string{"b", "b"}, "b"},
	} {
		if got := unlimitedText(test.limited, test.unlimited); got != test.want {
			t.Errorf("unlimitedText(%q, %q) = %q, want %q", test.limited, test.unlimited, got, test.want)
		}
	}
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
