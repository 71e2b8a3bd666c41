package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// samples are files and the texts that extract must return. Each text is written as
// its line number, a colon and its prose, with " / " between paragraphs.
var samples = []struct {
	name, file string
	want       []string
}{
	{"a.go", "package a\n\n// One is\n// a number.\n//\n//\tcode()\n//\n//   - an item\n//     of a list\nvar One, two = 1, 2\n",
		[]string{"3:NAME is a number. / - an item of a list"}},
	{"trailing.go", "package a\n\nvar (\n\tb = 1 // first\n\tc = 2 // second\n)\n",
		[]string{"4:first", "5:second"}},
	{"directive.go", "//go:build linux\n\npackage a\n\nfunc f() {} //nolint:errcheck // it is a test\n",
		[]string{"5:it is a test"}},
	{"literal.go", "package a\n\nimport \"a b c\"\n\ntype s struct {\n\tf int `json:\"x y z\"`\n}\n\n" +
		"var a, b = \"two words\", `one\ntwo\nthree`\n",
		[]string{"9:one two three"}},
	{"sum.go", "package a\n\nvar x = 1 + 2\n\nvar y = f(\"a \" + name(\"u v w\") + \" b \" +\n\t\"c d\")\n",
		[]string{"5:a VALUE b c d", "5:u v w"}},
	{"broken.go", "package a\n\n// A comment\nfunc {", []string{"3:A comment"}},
	{"a.md", "# Title\nText with `code and` [a link](other/page.md)\ngoes on.\n\n- one\n    more\n\n" +
		"```sh\nrun this # as root\n```\n\n    code\n\n| a | b |\n|---|---|\n",
		[]string{"1:# Title / Text with CODE [a link] goes on. / - one more / as root / | a | b | / |---|---|"}},
	{"Makefile", "# All of\n# it.\nhelp: ## show this help\n\t@echo \"one two three\"\n\techo \"a b\"\n",
		[]string{"1:All of it. / show this help / one two three"}},
	{"a.yml", "#!ignored\nlinters: # no two\n  - desc: a is not b\n    name: short\n",
		[]string{"2:no two / a is not b"}},
	{"a.txtar", "# First\n# line.\nexec a\nstdout b\n", []string{"1:First line. / exec a / stdout b"}},
	{"a.html", "<!-- a\n note -->\n<title>The\n title</title>\n<p>Some <b>bold</b> &amp;\ntext<p>More" +
		"<input placeholder=\"Type a name\" value=\"x\">\n<style>p { color: red } /* a rule */</style>\n" +
		"<script>\nlet a = 1 // the first\n/* and\n * more */ let b = 'one two three', c = \"it's\"\n</script>\n",
		[]string{"3:The title / Some bold & text / More / Type a name", "1:a note", "7:a rule",
			"9:the first", "10:and more", "11:one two three"}},
	{"a.js", "// one\n// two\nf(`a b\nc`) // three\ng() // four\n",
		[]string{"1:one two", "3:a b c", "4:three", "5:four"}},
	{"a.txt", "nothing of this\n", nil},
}

func TestExtract(t *testing.T) {
	for _, s := range samples {
		path := filepath.Join(t.TempDir(), s.name)
		if err := os.WriteFile(path, []byte(s.file), 0o600); err != nil {
			t.Fatal(err)
		}
		texts, err := extract(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range texts {
			paragraphs := slices.DeleteFunc(strings.Split(string(x.prose), "\n"), func(p string) bool {
				return strings.TrimSpace(p) == ""
			})
			for i, p := range paragraphs {
				paragraphs[i] = strings.Join(strings.Fields(p), " ")
			}
			if len(paragraphs) > 0 {
				got = append(got, fmt.Sprintf("%d:%s", firstLine(x), strings.Join(paragraphs, " / ")))
			}
		}
		if !slices.Equal(got, s.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", s.name, got, s.want)
		}
	}
}

// firstLine returns the line of the first word of a text.
func firstLine(x *text) int {
	return x.line(strings.IndexFunc(string(x.prose), func(r rune) bool { return r > ' ' }))
}

func TestLineOfMatch(t *testing.T) {
	texts := goTexts("a.go", []byte("package a\n\n// one\n//\n// two\nvar x = \"a b c \" +\n\t\"three\"\n"))
	for _, test := range []struct {
		text int
		word string
		line int
	}{{0, "one", 3}, {0, "two", 5}, {1, "a b", 6}, {1, "three", 7}} {
		x := texts[test.text]
		if got := x.line(strings.Index(string(x.prose), test.word)); got != test.line {
			t.Errorf("%s: got line %d, want %d", test.word, got, test.line)
		}
	}
}

// A reader does not panic at a file that is cut off: every beginning and every end
// of each sample is read.
func TestCutOff(t *testing.T) {
	for _, s := range samples {
		read := readers[filepath.Ext(s.name)]
		for i := range s.file {
			if read != nil {
				read(s.name, []byte(s.file[:i]))
			}
			script(s.name, []byte(s.file[i:]))
			page(s.name, []byte(s.file[i:]))
			slashComments(s.name, []byte(s.file[i:]))
		}
	}
}

func TestRun(t *testing.T) {
	good := strings.Repeat("The client reconnects. ", 1000)
	bad := lists["tell"][0]
	for _, test := range []struct {
		name, page string
		ok         bool
		output     string
	}{
		{"good", good, true, ""},
		{"within the limit", good + bad, true, "0.33 per 1,000"},
		{"over the limit", good + bad + ".\n" + bad, false, "page.md:2: "},
		{"spelling", good + "gr" + "ey", false, "page.md:1: "},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "page.md"), []byte(test.page), 0o600); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		ok, err := run(&b, []string{dir}, false)
		if err != nil || ok != test.ok || !strings.Contains(b.String(), test.output) {
			t.Errorf("%s: got %v, %v and output\n%s\nwant %v and %q",
				test.name, ok, err, &b, test.ok, test.output)
		}
	}
	if _, err := run(&strings.Builder{}, []string{filepath.Join(t.TempDir(), "missing")}, false); err == nil {
		t.Error("a missing root is no error")
	}
}
