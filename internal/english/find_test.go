package main

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/sentences.txt
var sentences string

// Each section of sentences.txt is named after a kind. Exactly this kind must match
// each sentence of the section. No kind must match a sentence of section "good".
func TestFind(t *testing.T) {
	tested := make(map[string]int)
	for _, section := range strings.Split(sentences, "\n[")[1:] {
		lines := strings.Split(strings.TrimSpace(section), "\n")
		want := strings.TrimSuffix(lines[0], "]")
		for _, sentence := range lines[1:] {
			tested[want]++
			for i := range kinds {
				k := &kinds[i]
				got := len(k.find(sentence))
				if k.name == want && got == 0 {
					t.Errorf("%s: not found in %q", want, sentence)
				}
				if k.name != want && got > 0 {
					t.Errorf("%s: found in %q", k.name, sentence)
				}
			}
		}
	}
	for i := range kinds {
		if name := kinds[i].name; tested[name] == 0 {
			t.Errorf("%s: no sentence", name)
		}
	}
	if tested["good"] == 0 {
		t.Error("no good sentence")
	}
}

// A pattern can match twice in one sentence, and a match can contain a line end.
func TestFindPlaces(t *testing.T) {
	prose := "on and on, " + lists["pronouns"][0] + " waits for " + lists["pronouns"][3] + " is left"
	got := kinds[0].find(prose)
	if len(got) != 2 || prose[got[0][0]:got[0][1]] != "who" || prose[got[1][0]:got[1][1]] != "what" {
		t.Errorf("got %v in %q, want two matches", got, prose)
	}
	if got := kinds[1].find(strings.ReplaceAll(lists["pro-forms"][0], `\s+`, "\n")); len(got) != 1 {
		t.Errorf("got %v over the end of a line, want one match", got)
	}
}

func TestLists(t *testing.T) {
	for _, name := range []string{"pronouns", "before", "interrogatives", "pro-forms", "tell",
		"non-standard", "british", "ise"} {
		if len(lists[name]) < 4 {
			t.Errorf("section %s: got %d words", name, len(lists[name]))
		}
	}
}
