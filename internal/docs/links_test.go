package docs

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const root = "../.." // of the repository

// Every relative link in a Markdown file of the repository must lead to a file or
// directory, and its anchor to a heading. Links to other sites are not followed.
func TestLinks(t *testing.T) {
	pages := 0
	walk(t, root, func(path string) {
		if filepath.Ext(path) != ".md" {
			return
		}
		pages++
		for _, problem := range checkPage(t, path) {
			t.Error(problem)
		}
	})
	if pages == 0 {
		t.Fatal("there are no Markdown files")
	}
}

// A Go file that names a page of docs/ must name a page that exists.
func TestPagesNamedInCode(t *testing.T) {
	walk(t, root, func(path string) {
		if filepath.Ext(path) != ".go" {
			return
		}
		for i, line := range strings.Split(read(t, path), "\n") {
			for _, page := range pageName.FindAllString(line, -1) {
				if _, err := os.Stat(filepath.Join(root, page)); err != nil {
					t.Errorf("%s:%d: there is no page %s", path, i+1, page)
				}
			}
		}
	})
}

// checkPage reports the broken links of a page, and no other links.
func TestCheckPage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("code.go", "package code\n")
	write("other.md", "# A title, with `code`\n\n## Twice\n\n## Twice\n\n```\n# not a heading\n```\n")
	page := write("page.md", strings.Join([]string{
		"# Here",
		"[file](other.md) [directory](.) [site](https://example.com/no.md#no) [here](#here)",
		"[title](other.md#a-title-with-code), [second](other.md#twice-1), [line](code.go#L1)",
		"`[inline](code.md)`",
		"```",
		"[fenced](code.md)",
		"```",
		"[missing](no.md)",
		"[no anchor](other.md#not-a-heading) ![image](no.png \"title\")",
		"[own](#nowhere) [line](code.go#L9)",
		"[reference]: no.md",
	}, "\n"))
	var lines []string
	for _, problem := range checkPage(t, page) {
		line, _, _ := strings.Cut(strings.TrimPrefix(problem, page+":"), ":")
		lines = append(lines, line)
	}
	if got, want := strings.Join(lines, " "), "8 9 9 10 10 11"; got != want {
		t.Errorf("broken links in the lines %s, want %s", got, want)
	}
}

var (
	linkTarget = regexp.MustCompile(`\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)`)
	definition = regexp.MustCompile(`^\s*\[[^\]]+\]:\s+<?([^>\s]+)`)
	inlineCode = regexp.MustCompile("`+[^`]*`+")
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	heading    = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	namedPlace = regexp.MustCompile(`<[^>]+\b(?:id|name)="([^"]+)"`)
	pageName   = regexp.MustCompile(`\bdocs/[A-Za-z0-9_./-]+\.md\b`)
)

// checkPage returns one message, with file and line number, for each broken link of
// a page.
func checkPage(t *testing.T, path string) []string {
	t.Helper()
	var problems []string
	for i, line := range proseLines(read(t, path)) {
		line = inlineCode.ReplaceAllString(line, "")
		found := linkTarget.FindAllStringSubmatch(line, -1)
		found = append(found, definition.FindAllStringSubmatch(line, -1)...)
		for _, match := range found {
			if reason := checkTarget(t, path, match[1]); reason != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: the link to %s is broken: %s",
					path, i+1, match[1], reason))
			}
		}
	}
	return problems
}

// checkTarget returns the reason for which a link of a page is broken, or an empty
// string.
func checkTarget(t *testing.T, page, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return "" // another site
	}
	path := page
	if u.Path != "" {
		path = filepath.Join(filepath.Dir(page), filepath.FromSlash(u.Path))
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "there is no such file"
	case u.Fragment == "":
		return ""
	case info.IsDir():
		return "a directory has no anchors"
	case filepath.Ext(path) != ".md":
		return checkLine(read(t, path), u.Fragment)
	case !anchors(read(t, path))[u.Fragment]:
		return "there is no such heading"
	}
	return ""
}

// checkLine checks an anchor for a line of a source file, such as L12. It returns
// the reason for which the anchor is invalid, or an empty string.
func checkLine(text, anchor string) string {
	number, isLine := strings.CutPrefix(anchor, "L")
	n, err := strconv.Atoi(number)
	if !isLine || err != nil || n < 1 || n > strings.Count(text, "\n") {
		return "there is no such line"
	}
	return ""
}

// anchors returns the anchors of a page: the attributes id and name of HTML
// elements, and the anchors that GitHub gives to headings. The latter are in lower
// case, without punctuation, and with "-" for each space. If a page has the same
// anchor before, GitHub appends a number: "twice", "twice-1".
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	times := make(map[string]int)
	for _, line := range proseLines(text) {
		for _, match := range namedPlace.FindAllStringSubmatch(line, -1) {
			all[match[1]] = true
		}
		match := heading.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkText.ReplaceAllString(match[1], "$1"))
		n := times[anchor]
		times[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		all[anchor] = true
	}
	return all
}

// proseLines returns the lines of a page. It replaces the lines of blocks of code by
// empty lines, so that the other lines have the same numbers.
func proseLines(text string) []string {
	lines := strings.Split(text, "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced {
			lines[i] = ""
		}
		if fence {
			fenced = !fenced
		}
	}
	return lines
}

// walk calls f with every file below dir, except files in hidden directories and in
// node_modules.
func walk(t *testing.T, dir string, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			f(path)
		case path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
