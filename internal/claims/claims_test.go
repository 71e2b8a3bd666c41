package claims

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// claim is a row of a table of claims in docs/CLAIMS.md. Its text must be in
// README.md. Its proof consists of links to tests or other files.
type claim struct{ text, proof string }

func readClaims(t *testing.T) (claims []claim) {
	t.Helper()
	for _, row := range readPage(t, "docs/CLAIMS.md").rows() {
		if len(row) == 2 && row[0] != "claim" {
			claims = append(claims, claim{plain(row[0]), row[1]})
		}
	}
	if len(claims) == 0 {
		t.Fatal("docs/CLAIMS.md has no claims")
	}
	return claims
}

// Every claim is in README.md, and every proof exists. If a proof names a function,
// the linked file must contain the function. If it quotes a text, for example a step
// of a script, the linked file must contain the text.
func TestProofsExist(t *testing.T) {
	readme := plain(readFile(t, "README.md"))
	for _, c := range readClaims(t) {
		if !strings.Contains(readme, c.text) {
			t.Errorf("README.md does not contain this claim: %s", c.text)
		}
		proofs := link.FindAllStringSubmatch(c.proof, -1)
		if proofs == nil {
			t.Errorf("the claim has no proof: %s", c.text)
		}
		for _, proof := range proofs {
			if problem := checkProof(proof[1], proof[2]); problem != "" {
				t.Errorf("%s: %s", c.text, problem)
			}
		}
	}
}

var identifier = regexp.MustCompile(`^\w+$`)

// checkProof returns the reason for which a link leads to no proof, or an empty
// string. It does not follow links to other sites. It ignores anchors, because the
// tests of internal/docs check them.
func checkProof(name, target string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	target, _, _ = strings.Cut(target, "#")
	path := filepath.Join(root, "docs", target)
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if quoted := strings.Split(name, `"`); len(quoted) == 3 {
		if !strings.Contains(string(text), quoted[1]) {
			return target + " does not contain " + quoted[1]
		}
	}
	if filepath.Ext(path) != ".go" || !identifier.MatchString(name) {
		return ""
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return err.Error()
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
			return ""
		}
	}
	return target + " has no function " + name
}

var sentenceEnd = regexp.MustCompile(`[.] (?:[A-Z\x60])`)

const promisesTitle = "What it promises"

// Every sentence of the section on promises and limits and of the section on
// browsers in README.md is a part of a claim, so that it has a proof.
func TestSentencesHaveProofs(t *testing.T) {
	var all strings.Builder
	for _, c := range readClaims(t) {
		all.WriteString(c.text + "\n")
	}
	readme := readPage(t, "README.md")
	promises := readme.section(t, promisesTitle, true)
	var texts []string
	for _, row := range promises.rows()[1:] {
		texts = append(texts, row[0])
	}
	texts = append(texts, promises.paragraphs()...)
	texts = append(texts, readme.section(t, "In a browser", true).paragraphs()...)
	for _, text := range texts {
		for _, sentence := range sentences(plain(text)) {
			if !strings.Contains(all.String(), sentence) {
				t.Errorf("docs/CLAIMS.md has no proof of this sentence: %s", sentence)
			}
		}
	}
}

// paragraphs returns the paragraphs and the items of lists, each as one line. It
// leaves out headings, tables and blocks of code.
func (p page) paragraphs() (texts []string) {
	open, fenced := false, false
	for _, line := range p {
		fence := strings.HasPrefix(line, "```")
		if fence {
			fenced = !fenced
		}
		item, isItem := strings.CutPrefix(line, "- ")
		switch {
		case fence || fenced || line == "" || line[0] == '|' || line[0] == '#':
			open = false
		case isItem || !open:
			texts, open = append(texts, item), true
		default:
			texts[len(texts)-1] += " " + line
		}
	}
	return texts
}

func sentences(text string) (all []string) {
	for {
		end := sentenceEnd.FindStringIndex(text)
		if end == nil {
			return append(all, text)
		}
		all = append(all, text[:end[0]+1])
		text = text[end[0]+2:]
	}
}

// README.md and go.mod require the same version of Go.
func TestGoVersion(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "go.mod"))
	if want := "You need Go " + version[1] + " or newer."; !strings.Contains(
		readFile(t, "README.md"), want) {
		t.Errorf("README.md must contain: %s", want)
	}
}

func TestQuickstartIsShort(t *testing.T) {
	for _, name := range []string{"server", "client"} {
		file := "examples/quickstart/" + name + "/main.go"
		if n := strings.Count(readFile(t, file), "\n"); n >= 60 {
			t.Errorf("%s has %d lines, README.md says less than 60", file, n)
		}
	}
}

// The counts of README.md equal the numbers of cells in docs/BEHAVIOUR.md: for each
// library, the cells with ✓, with ✗ and with –.
func TestBehaviourCounts(t *testing.T) {
	columns := map[string]string{
		"this library": "sse", "tmaxmax/go-sse": "tmaxmax", "r3labs/sse": "r3labs",
		"launchdarkly/eventsource": "launchdarkly",
	}
	behaviour := readPage(t, "docs/BEHAVIOUR.md")
	cases, checked := 0, 0
	for _, row := range readPage(t, "README.md").section(t, "How it compares", true).rows() {
		column := columns[row[0]]
		if column == "" {
			continue
		}
		var counts []string
		cases = 0
		for _, mark := range []string{"✓", "✗", "–"} {
			n := behaviour.count(column, mark)
			counts = append(counts, strconv.Itoa(n))
			cases += n
		}
		got, want := strings.Join(row[1:], " "), strings.Join(counts, " ")
		if got != want {
			t.Errorf("README.md has %s for %s, docs/BEHAVIOUR.md has %s", got, row[0], want)
		}
		checked++
	}
	if checked != len(columns) {
		t.Errorf("%d libraries are in the table, want %d", checked, len(columns))
	}
	want := "We wrote " + strconv.Itoa(cases) + " cases"
	if !strings.Contains(readFile(t, "README.md"), want) {
		t.Errorf("README.md must contain: %s", want)
	}
}

// count returns the number of cells with a mark in the column of a library.
func (p page) count(library, mark string) (n int) {
	column := -1
	for _, row := range p.rows() {
		if row[0] == "Rule" {
			column = -1
			for i, cell := range row {
				if cell == library {
					column = i
				}
			}
		} else if column > 0 && column < len(row) && row[column] == mark {
			n++
		}
	}
	return n
}
