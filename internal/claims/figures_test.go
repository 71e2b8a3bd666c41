package claims

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// figure is a row of the table of figures in docs/CLAIMS.md: the text of a figure in
// README.md, and its source in docs/PERFORMANCE.md. The source is a cell of the
// first table below a heading. If row is empty, it is the prose below the heading.
type figure struct{ text, heading, row, column string }

func readFigures(t *testing.T) (figures []figure) {
	t.Helper()
	for _, row := range readPage(t, "docs/CLAIMS.md").rows() {
		if len(row) == 4 && row[0] != "figure" {
			figures = append(figures, figure{row[0], row[1], row[2], row[3]})
		}
	}
	if len(figures) == 0 {
		t.Fatal("docs/CLAIMS.md has no figures")
	}
	return figures
}

// The figures of README.md equal the figures of docs/PERFORMANCE.md, after rounding.
func TestFiguresAreMeasured(t *testing.T) {
	performance := readPage(t, "docs/PERFORMANCE.md")
	for _, f := range readFigures(t) {
		if f.row == "" {
			text := plain(strings.Join(performance.section(t, f.heading, true), " "))
			if !containsFigure(text, f.text) {
				t.Errorf("the text below %q does not contain %s", f.heading, f.text)
			}
			continue
		}
		cell := performance.section(t, f.heading, false).cell(f.row, f.column)
		if cell == "" {
			t.Errorf("%s: the table %q has no cell in row %q and column %q",
				f.text, f.heading, f.row, f.column)
			continue
		}
		for _, number := range number.FindAllString(f.text, -1) {
			if !hasNumber(cell, number) {
				t.Errorf("README.md has %s, but the table %q has %s in row %q and column %q",
					f.text, f.heading, cell, f.row, f.column)
			}
		}
	}
}

// Every number in the comparison of README.md is a figure of docs/CLAIMS.md. Numbers
// in names, in code and in the first column of a table are exceptions, and so are
// the counts of cases.
func TestFiguresAreListed(t *testing.T) {
	section := readPage(t, "README.md").section(t, "How it compares", true)
	texts := section.paragraphs()
	for _, row := range section.rows() {
		if len(row) == 5 { // the table of measurements
			texts = append(texts, row[1:]...)
		}
	}
	text := strings.Join(texts, "\n")
	text = regexp.MustCompile("`[^`]*`").ReplaceAllString(plain(text), "")
	text = regexp.MustCompile(`We wrote \d+ cases`).ReplaceAllString(text, "")
	figures := readFigures(t)
	slices.SortFunc(figures, func(a, b figure) int { return len(b.text) - len(a.text) })
	for _, f := range figures {
		if !containsFigure(plain(strings.Join(section, " ")), f.text) {
			t.Errorf("README.md does not contain the figure %s", f.text)
		}
		text = figureText(f.text).ReplaceAllString(text, "$1$2")
	}
	if left := regexp.MustCompile(`(?:\S+ )?\b\d\S*`).FindAllString(text, -1); left != nil {
		t.Errorf("docs/CLAIMS.md does not list these figures of README.md: %s",
			strings.Join(left, "; "))
	}
}

var number = regexp.MustCompile(`\d[\d,]*(?:\.\d+)?`)

// figureText returns an expression that matches a figure unless it is a part of a
// longer number.
func figureText(text string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[^\d.,])` + regexp.QuoteMeta(text) + `($|[^\d.,]|[.,](?:\D|$))`)
}

func containsFigure(text, figure string) bool { return figureText(figure).MatchString(text) }

// hasNumber reports whether a number in a cell equals want. Before the comparison,
// the number is rounded to as many decimals as want has.
func hasNumber(cell, want string) bool {
	want = strings.ReplaceAll(want, ",", "")
	_, decimals, _ := strings.Cut(want, ".")
	for _, text := range number.FindAllString(cell, -1) {
		n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
		if err == nil && strconv.FormatFloat(n, 'f', len(decimals), 64) == want {
			return true
		}
	}
	return false
}

// cell returns the cell in a row and a column, or an empty string. The headings of
// the page's first table name the columns. A row's first cell must be row, or begin
// with row and ", the fastest". The marks *, ↓ and ↑ are ignored.
func (p page) cell(row, column string) string {
	clean := func(text string) string {
		return strings.TrimSpace(strings.NewReplacer("*", "", "↓", "", "↑", "").Replace(text))
	}
	rows := p.rows()
	if len(rows) == 0 {
		return ""
	}
	at := slices.IndexFunc(rows[0], func(text string) bool { return clean(text) == column })
	found := ""
	for _, cells := range rows {
		name := clean(cells[0])
		if at < 0 || at >= len(cells) {
			continue
		}
		if name == row {
			return cells[at]
		}
		if strings.HasPrefix(name, row+", the fastest") {
			found = cells[at]
		}
	}
	return found
}

// hasNumber accepts a rounded figure, and rejects a wrong figure.
func TestCell(t *testing.T) {
	p := page(strings.Split("### T\n\n| | a ↓ | b |\n|---|--:|---|\n| **x**, the fastest peer | 1,234 (1,200–1,300) | 2.55 |\n| x, y | 7 | 8 |", "\n"))
	for _, test := range []struct {
		row, column, want string
		has               bool
	}{
		{"x", "a", "1,234", true},
		{"x", "a", "1,300", true},
		{"x", "a", "1,23", false},
		{"x", "a", "234", false},
		{"x", "b", "2.5", true}, // 2.55 is a little less in binary
		{"x", "b", "3", true},
		{"x", "b", "2", false},
		{"x, y", "a", "7", true},
		{"y", "a", "7", false},
		{"x", "c", "7", false},
	} {
		if got := hasNumber(p.cell(test.row, test.column), test.want); got != test.has {
			t.Errorf("row %q, column %q: %s is found: %v, want %v",
				test.row, test.column, test.want, got, test.has)
		}
	}
}
