package claims

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.." // of the repository

var (
	link    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`^(#+) +(.*)$`)
)

// page has the lines of a Markdown page.
type page []string

func readPage(t *testing.T, name string) page {
	t.Helper()
	return strings.Split(readFile(t, name), "\n")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns the lines of a section, beginning with its heading. If all is
// false, the section ends at the next heading. If all is true, it ends at the next
// heading of the same or a higher level, so it includes its subsections.
func (p page) section(t *testing.T, title string, all bool) page {
	t.Helper()
	from, level := -1, 0
	for i, line := range p {
		match := heading.FindStringSubmatch(line)
		switch {
		case match == nil:
		case from < 0 && match[2] == title:
			from, level = i, len(match[1])
		case from >= 0 && (!all || len(match[1]) <= level):
			return p[from:i]
		}
	}
	if from < 0 {
		t.Fatalf("there is no heading %q", title)
	}
	return p[from:]
}

// rows returns the cells of all tables, with the rows of their headers and without
// the lines of hyphens.
func (p page) rows() (rows [][]string) {
	for _, line := range p {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") ||
			strings.HasPrefix(line, "|:") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// plain replaces each link in text by the link's text, and returns the words with
// one space between them.
func plain(text string) string {
	return strings.Join(strings.Fields(link.ReplaceAllString(text, "$1")), " ")
}
