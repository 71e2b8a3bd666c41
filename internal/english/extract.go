package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// extract returns the English of a file: the comments and messages of a program or
// a script, or the prose of a page. For other kinds of files it returns nil.
func extract(path string) ([]*text, error) {
	read := readers[filepath.Ext(path)]
	if filepath.Base(path) == "Makefile" || filepath.Base(filepath.Dir(path)) == ".ci" {
		read = script
	}
	if read == nil {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return read(path, data), nil
}

var readers = map[string]func(string, []byte) []*text{
	".go":    goTexts,
	".md":    markdown,
	".sh":    script,
	".yml":   script,
	".yaml":  script,
	".txtar": txtar,
	".html":  page,
	".js":    slashComments,
	".mjs":   slashComments,
	".c":     slashComments,
}

var (
	inlineCode = regexp.MustCompile("``[^\n]*?``|`[^`\n]*`")
	target     = regexp.MustCompile(`\]\([^)\s]*\)`)
	item       = regexp.MustCompile(`^\s*(?:[-*+]|\d+[.)])\s`)
	inFence    = regexp.MustCompile(`(?:^|\s)(?:#|//) (.*)`)
)

// markdown returns the prose of a page, and the comments in its blocks of code.
// Inline code counts as one word. The targets of links do not count.
func markdown(path string, data []byte) []*text {
	t := &text{file: path}
	fence, list, blank := "", false, true
	for i, l := range strings.Split(string(data), "\n") {
		trimmed := strings.TrimSpace(l)
		indented := strings.HasPrefix(l, "    ") || strings.HasPrefix(l, "\t")
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			} else if m := inFence.FindStringSubmatch(l); m != nil {
				l = m[1]
				break
			}
			l = ""
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence, list, l = trimmed[:3], list && indented, ""
		case item.MatchString(l):
			list = true
		case indented && blank && !list:
			l, trimmed = "", ""
		case trimmed != "" && !indented && blank:
			list = strings.HasPrefix(l, " ") && list
		}
		blank = trimmed == ""
		l = inlineCode.ReplaceAllString(l, "CODE")
		t.add(i+1, target.ReplaceAllString(l, "]"))
	}
	return []*text{t}
}

var (
	hashComment = regexp.MustCompile(`(?:^|\s)#+ (.*)`)
	shellText   = regexp.MustCompile(`\b(?:echo|printf|fail|die)\s+(?:"([^"]+)"|'([^']+)')`)
	yamlText    = regexp.MustCompile(`^\s*(?:- )?(?:name|title|desc|description|summary):\s+(.*)`)
)

// script returns the comments and messages of a script, a Makefile or a YAML
// file.
func script(path string, data []byte) []*text {
	t := &text{file: path}
	for i, l := range strings.Split(string(data), "\n") {
		if c := strings.TrimSpace(l); strings.HasPrefix(c, "#") && !strings.HasPrefix(c, "#!") {
			t.add(i+1, strings.TrimLeft(c, "#"))
			continue
		}
		t.add(i+1, "")
		for _, re := range []*regexp.Regexp{shellText, yamlText, hashComment} {
			for _, m := range re.FindAllStringSubmatch(l, -1) {
				s := strings.Join(m[1:], "")
				if re == hashComment || len(strings.Fields(s)) >= minWords {
					t.addAlone(i+1, s)
				}
			}
		}
	}
	return []*text{t}
}

// txtar returns the text of a test script and of the files in it. Consecutive
// comment lines form a paragraph. Every other line is a paragraph by itself.
func txtar(path string, data []byte) []*text {
	t := &text{file: path}
	for i, l := range strings.Split(string(data), "\n") {
		if c, ok := strings.CutPrefix(l, "#"); ok {
			t.add(i+1, c)
		} else {
			t.addAlone(i+1, l)
		}
	}
	return []*text{t}
}
