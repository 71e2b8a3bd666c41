package main

import (
	_ "embed"
	"math"
	"regexp"
	"strings"
)

// A kind is one kind of English that the checker looks for.
type kind struct {
	name string
	// limit is the number of matches that are allowed for each 1,000 words of an
	// area. If limit is unlimited, matches are counted, but never too many.
	limit float64
	// pattern matches a candidate for a match. If isWord is false and pattern has
	// a group, only the first group of the candidate is the match.
	pattern *regexp.Regexp
	// next, if not nil, must match the text after a match.
	next *regexp.Regexp
	// except, if not nil, must not match the text that begins with a match. It
	// excludes good English.
	except *regexp.Regexp
	// isWord means that the kind is a list of words. Such a word also counts in a
	// question, but does not count in the name of a file or a declaration. Without
	// isWord, a match in a question does not count.
	isWord bool
}

const (
	usual     = 0.5
	unlimited = math.MaxFloat64
)

//go:embed words.txt
var wordFile string

// lists maps the name of each section of words.txt to its words, which are regular
// expressions.
var lists = parseLists(wordFile)

var kinds = [...]kind{
	{
		// A clause that begins with a bare pronoun has no noun. A relative
		// clause after a noun, and an indirect question after a verb of asking,
		// are good English.
		name:  `bare "who", "what", "whoever"`,
		limit: usual,
		pattern: regexp.MustCompile(`(?i)(?:^|[\n.:;,(|"“—–#-]\s*|\b(?:` + anyOf("before") +
			`)\s+)\b(` + anyOf("pronouns") + `)\b`),
		next:   regexp.MustCompile(`^\s+[A-Za-z'’*_\[]`),
		except: regexp.MustCompile(`(?i)^what\s+(?:` + anyOf("interrogatives") + `)\b`),
	},
	{
		name:    "pro-form for a noun",
		limit:   usual,
		pattern: words("pro-forms"),
	},
	{
		name:    `verb "tell"`,
		limit:   usual,
		pattern: words("tell"),
		isWord:  true,
	},
	{
		name: "British spelling",
		pattern: regexp.MustCompile(`(?i)\b(?:` + anyOf("british") + `|(?:un|re)?(?:` + anyOf("ise") +
			`)is(?:e[sdr]?|ers|ing|ations?|able))\b`),
		isWord: true,
	},
	{
		// A clause at the end of a sentence. It may carry a reason.
		name:    `trailing "which" clause`,
		limit:   unlimited,
		pattern: regexp.MustCompile(`, (which)\b[^.,;:()\n]*(?:[.\n]|$)`),
	},
	{
		name:    "non-standard verbs",
		limit:   usual,
		pattern: words("non-standard"),
		except:  regexp.MustCompile(`(?i)^but\s+for\s+now\b`),
		isWord:  true,
	},
}

// parseLists parses the sections of words.txt. A section is a name in brackets, a
// description, and a last paragraph of words that are separated by commas.
func parseLists(file string) map[string][]string {
	m := make(map[string][]string)
	for _, section := range strings.Split(file, "\n[")[1:] {
		name, rest, _ := strings.Cut(section, "]")
		paragraphs := strings.Split(strings.TrimSpace(rest), "\n\n")
		for word := range strings.SplitSeq(paragraphs[len(paragraphs)-1], ",") {
			if fields := strings.Fields(word); len(fields) > 0 {
				m[name] = append(m[name], strings.Join(fields, `\s+`))
			}
		}
	}
	return m
}

// anyOf returns an expression that matches the words of a section.
func anyOf(section string) string { return strings.Join(lists[section], "|") }

// words returns a pattern that matches the words of a section.
func words(section string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + anyOf(section) + `)\b`)
}

// find returns the beginning and the end of each match in prose.
func (k *kind) find(prose string) [][2]int {
	var found [][2]int
	for _, at := range k.pattern.FindAllStringSubmatchIndex(prose, -1) {
		m := [2]int{at[0], at[1]}
		if len(at) >= 4 && at[2] >= 0 && !k.isWord {
			m = [2]int{at[2], at[3]}
		}
		switch {
		case k.next != nil && !k.next.MatchString(prose[m[1]:]),
			k.except != nil && k.except.MatchString(prose[m[0]:]),
			k.isWord && partOfName(prose, m),
			!k.isWord && question(prose[m[0]:]):
			continue
		}
		found = append(found, m)
	}
	return found
}

// question reports whether the first sentence of s ends with a question mark.
func question(s string) bool {
	i := strings.IndexAny(s, ".?!;\n")
	return i >= 0 && s[i] == '?'
}

var (
	nameBefore = regexp.MustCompile(`(?i)(?:[/_.\\$#@]|[/_][\w.-]*|\bpackage )$`)
	nameAfter  = regexp.MustCompile(`^(?:[/_=(]|\.\w|-\w+[/.]\w)`)
	capitals   = regexp.MustCompile(`[a-zA-Z][A-Z]`)
	capital    = regexp.MustCompile(`[\w,]\s+[A-Z]$`) // not at the beginning of a sentence
)

// partOfName reports whether the word from at[0] to at[1] is a part of the name of
// a file or a declaration, or is itself such a name.
func partOfName(prose string, at [2]int) bool {
	before := prose[max(0, at[0]-60):at[0]]
	return nameBefore.MatchString(before) || nameAfter.MatchString(prose[at[1]:]) ||
		capitals.MatchString(prose[at[0]:at[1]]) || capital.MatchString(before+prose[at[0]:at[0]+1])
}
