package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/testrand"
	"github.com/sse-go/sse/ssetest"
)

// names lists texts. If a text is valid, both as a topic and as a pattern, its reason
// is "". Otherwise reason is the Reason of the FieldError. A valid text is UTF-8, has
// 1 to 1024 bytes, and contains no control characters.
var names = []struct{ name, text, reason string }{
	{"word", "news", ""},
	{"segments", "room/1/temperature", ""},
	{"empty segments", "//a//", ""},
	{"slash", "/", ""},
	{"dots", "./../.", ""},
	{"space", " ", ""},
	{"punctuation", "a,b;c?d&e=f#g%2Fh+i~j\"k\\l", ""},
	{"other scripts", "新聞/погода/😀", ""},
	{"byte order mark", "\uFEFF", ""},
	{"no-break space", "\u00A0", ""},
	{"separators", "\u2028\u2029", ""},
	{"right to left", "\u202E\u200F", ""},
	{"noncharacter", "\uFFFF\U0010FFFF", ""},
	{"replacement character", "\uFFFD", ""},
	{"longest", strings.Repeat("x", 1024), ""},
	{"longest, not ASCII", strings.Repeat("é", 512), ""},
	{"too long", strings.Repeat("x", 1025), "has more than 1024 bytes"},
	{"too long, in bytes", strings.Repeat("é", 512) + "x", "has more than 1024 bytes"},
	{"empty", "", "is empty"},
	{"NUL", "a\x00b", "contains a control character"},
	{"tab", "a\tb", "contains a control character"},
	{"LF", "a\n", "contains a control character"},
	{"CR", "\ra", "contains a control character"},
	{"ESC", "\x1B[2J", "contains a control character"},
	{"last of C0", "\x1F", "contains a control character"},
	{"DEL", "\x7F", "contains a control character"},
	{"first of C1", "\u0080", "contains a control character"},
	{"NEL", "a\u0085b", "contains a control character"},
	{"last of C1", "\u009F", "contains a control character"},
	{"ill-formed", "a\xFF", "is not UTF-8"},
	{"Latin-1", "caf\xE9", "is not UTF-8"},
	{"C1 as a byte", "\x9F", "is not UTF-8"},
	{"cut", "\xE2\x82", "is not UTF-8"},
	{"surrogate", "\xED\xA0\x80", "is not UTF-8"},
	{"pair of surrogates", "\xED\xA0\xBD\xED\xB8\x80", "is not UTF-8"},
	{"overlong", "\xC0\xAF", "is not UTF-8"},
	{"overlong NUL", "\xC0\x80", "is not UTF-8"},
	{"beyond Unicode", "\xF4\x90\x80\x80", "is not UTF-8"},
}

// checkReason checks that err is a FieldError for the field, the text and the reason
// want, or nil if want is "".
func checkReason(t *testing.T, field, text string, err error, want string) {
	t.Helper()
	var fieldErr *sse.FieldError
	switch {
	case want == "":
		if err != nil {
			t.Errorf("%s %.40q: got error %v, want none", field, text, err)
		}
	case !errors.As(err, &fieldErr):
		t.Errorf("%s %.40q: got error %v, want a FieldError", field, text, err)
	case *fieldErr != sse.FieldError{Field: field, Value: text, Reason: want}:
		t.Errorf("%s %.40q: got error %+v, want that it %s", field, text, fieldErr, want)
	}
}

func TestTopicNames(t *testing.T) {
	for _, test := range names {
		t.Run(test.name, func(t *testing.T) {
			checkReason(t, "topic", test.text, sse.CheckTopic(test.text), test.reason)
			pattern, err := sse.ParsePattern(test.text)
			checkReason(t, "pattern", test.text, err, test.reason)
			if err == nil && (pattern.String() != test.text || !pattern.Match(test.text)) {
				t.Errorf("the pattern %q does not match itself", pattern)
			}
		})
	}
}

// In a topic, an asterisk is an ordinary character.
func TestTopicWithAsterisk(t *testing.T) {
	for _, topic := range []string{"*", "**", "a*b", "a/*/b", "**/a"} {
		checkReason(t, "topic", topic, sse.CheckTopic(topic), "")
	}
}

func TestParsePattern(t *testing.T) {
	const (
		within = `has a "*" within a segment; it must be the whole segment`
		before = `has "**" before its last segment`
	)
	for _, test := range []struct{ text, reason string }{
		{"*", ""}, {"**", ""}, {"*/*", ""}, {"*/**", ""}, {"a/*/b", ""}, {"*//*", ""},
		{"/**", ""}, {"/*", ""}, {"*/", ""},
		{"a*", within}, {"*a", within}, {"a*b", within}, {"***", within}, {"a/b*/c", within},
		{"**a", within}, {"* ", within}, {"a/***", within}, {"*,*", within},
		{"**/a", before}, {"**/", before}, {"**/**", before}, {"a/**/b", before},
		{"**/*", before},
	} {
		pattern, err := sse.ParsePattern(test.text)
		checkReason(t, "pattern", test.text, err, test.reason)
		want := test.text
		if test.reason != "" {
			want = ""
		}
		if pattern.String() != want {
			t.Errorf("%q: got the pattern %q, want %q", test.text, pattern, want)
		}
	}
}

// matchCases lists patterns with topics that they match and do not match.
var matchCases = []struct {
	pattern string
	yes, no []string
}{
	{"news", []string{"news"},
		[]string{"", "new", "newsx", "News", "news/", "/news", "news/a", "*"}},
	{"*", []string{"a", "*", "**", "a*b", "", " "}, []string{"a/b", "/", "a/", "/a"}},
	{"**", []string{"a", "a/b", "a/b/c", "*", "**/a", "", "/", "//"}, nil},
	{"room/*", []string{"room/1", "room/*", "room/"},
		[]string{"room", "room/1/2", "room//", "", "x/1"}},
	{"room/**", []string{"room/1", "room/1/2", "room/", "room//", "room/*"},
		[]string{"room", "rooms/1", "", "/room/1"}},
	{"room/*/**", []string{"room/1/2", "room/1/2/3", "room//"}, []string{"room/1", "room", "room/"}},
	{"*/b", []string{"a/b", "/b", "*/b"}, []string{"b", "a/c", "a/b/", "a/a/b"}},
	{"*/*", []string{"a/b", "/", "a/"}, []string{"a", "", "a/b/c", "//"}},
	{"a//b", []string{"a//b"}, []string{"a/b", "a/x/b", "a///b"}},
	{"a/*/b", []string{"a//b", "a/x/b", "a/*/b"}, []string{"a/b", "a///b"}},
	{"/", []string{"/"}, []string{"", "//", "a/", "/a"}},
	{"/*", []string{"/", "/a"}, []string{"", "a", "//"}},
	{"/**", []string{"/", "/a", "//", "/a/b"}, []string{"", "a", "a/b"}},
	{"é", []string{"é"}, []string{"e\u0301"}}, // bytes are compared, without normalization
}

func TestPatternMatch(t *testing.T) {
	for _, test := range matchCases {
		pattern := mustPattern(t, test.pattern)
		for _, topic := range test.yes {
			if !pattern.Match(topic) {
				t.Errorf("the pattern %q does not match %q", pattern, topic)
			}
		}
		for _, topic := range test.no {
			if pattern.Match(topic) {
				t.Errorf("the pattern %q matches %q", pattern, topic)
			}
		}
	}
}

func TestPatternZero(t *testing.T) {
	for _, topic := range []string{"", "a", "/", "*", "**"} {
		if (sse.Pattern{}).Match(topic) {
			t.Errorf("the zero pattern matches %q", topic)
		}
	}
	one, same := mustPattern(t, "a/*"), mustPattern(t, "a/*")
	if one != same || mustPattern(t, "*") == mustPattern(t, "**") {
		t.Error("patterns are not compared by their text")
	}
}

func mustPattern(t testing.TB, text string) sse.Pattern {
	t.Helper()
	pattern, err := sse.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return pattern
}

// referenceParse reports whether text is a pattern according to the
// documentation.
func referenceParse(text string) bool {
	if text == "" || len(text) > 1024 || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.Is(unicode.Cc, r) {
			return false
		}
	}
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		single, many := segment == "*", segment == "**" && i == len(segments)-1
		if strings.Contains(segment, "*") && !single && !many {
			return false
		}
	}
	return true
}

// referenceMatch reports whether the segments of a pattern match the segments of a
// topic according to the documentation. It also allows "**" before the last segment,
// although such a text is not a pattern.
func referenceMatch(pattern, topic []string) bool {
	if len(pattern) == 0 || len(topic) == 0 {
		return len(pattern) == len(topic)
	}
	switch pattern[0] {
	case "**":
		for n := 1; n <= len(topic); n++ {
			if referenceMatch(pattern[1:], topic[n:]) {
				return true
			}
		}
		return false
	case "*", topic[0]:
		return referenceMatch(pattern[1:], topic[1:])
	}
	return false
}

// comparePattern compares ParsePattern and Match with referenceParse and
// referenceMatch. It reports whether text is a pattern, and whether that pattern
// matches the topic.
func comparePattern(t *testing.T, text, topic string) (parsed, matched bool) {
	t.Helper()
	pattern, err := sse.ParsePattern(text)
	if parsed = err == nil; parsed != referenceParse(text) {
		t.Fatalf("pattern %+q: got %v, want an error: %v", text, err, parsed)
	}
	want := parsed && referenceMatch(strings.Split(text, "/"), strings.Split(topic, "/"))
	if matched = pattern.Match(topic); matched != want {
		t.Fatalf("pattern %+q, topic %+q: got match %v, want %v", text, topic, matched, want)
	}
	return parsed, matched
}

const patternAlphabet = "ab*/"

// TestPatternMatchAll tests every text of up to 4 characters of patternAlphabet as a
// pattern, with every such text as a topic.
func TestPatternMatchAll(t *testing.T) {
	texts := []string{""}
	for i := 0; i < len(texts) && len(texts[i]) < 4; i++ {
		for _, c := range patternAlphabet {
			texts = append(texts, texts[i]+string(c))
		}
	}
	for _, text := range texts {
		for _, topic := range texts {
			comparePattern(t, text, topic)
		}
	}
}

// TestPatternMatchRandom tests random patterns of up to 6 segments. Each topic is
// derived from its pattern, so that many of the topics match.
func TestPatternMatchRandom(t *testing.T) {
	rng := testrand.New(t)
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	patterns, matches := 0, 0
	const n = 50_000
	for range n {
		pattern := make([]string, 1+rng.IntN(6))
		topic := make([]string, len(pattern))
		for i := range pattern {
			pattern[i] = pick("a", "b", "", "*", "ab", "ba")
			topic[i] = pattern[i]
			if pattern[i] == "*" || rng.IntN(20) == 0 {
				topic[i] = pick("a", "b", "", "*", "**", "a*", "ab", "b/a")
			}
		}
		if rng.IntN(3) == 0 {
			pattern[len(pattern)-1-rng.IntN(3)%len(pattern)] = pick("**", "**", "**", "a*", "***")
		}
		parsed, matched := comparePattern(t, strings.Join(pattern, "/"), strings.Join(topic, "/"))
		if parsed {
			patterns++
		}
		if matched {
			matches++
		}
	}
	if patterns < n/2 || matches < n/4 || matches > patterns*9/10 {
		t.Errorf("%d patterns and %d matches of %d: the random cases test too little", patterns, matches, n)
	}
}

// A selection matches many topics if it matches one of them, also if it has many topics
// and patterns itself. Match then compares in another way.
func TestSelectionMatchMany(t *testing.T) {
	rng := testrand.New(t)
	word := func(words ...string) string { return words[rng.IntN(len(words))] }
	matched := 0
	const n = 2000
	for range n {
		var sel sse.Selection
		for range 1 + rng.IntN(30) {
			sel.Topics = append(sel.Topics, word("a", "b", "*")+"/"+word("a", "b", "**")+fmt.Sprint(rng.IntN(90)))
			sel.Patterns = append(sel.Patterns,
				mustPattern(t, word("a", "b", "c")+fmt.Sprint(rng.IntN(90))+word("", "/*", "/**", "/*/x")))
		}
		sel.Patterns = append(sel.Patterns, sse.Pattern{}) // matches nothing
		topics, want := []string{""}, false
		for range 300 {
			topic := word("a", "b", "c", "*") + word("", "/", "/a", "/a/x", "/a/b/c") + fmt.Sprint(rng.IntN(900))
			topics = append(topics, topic)
			want = want || sel.Match([]string{topic})
		}
		if got := sel.Match(topics); got != want {
			t.Fatalf("Match of 300 topics is %v, want %v: %+v, %q", got, want, sel, topics)
		} else if got {
			matched++
		}
	}
	if matched < n/10 || matched > n*9/10 {
		t.Errorf("%d of %d selections match: the random cases test too little", matched, n)
	}
}

// Match compares an event's topics with the selection directly, as long as this costs less
// than a lookup of many topics and patterns, which allocates.
func TestSelectionMatchFew(t *testing.T) {
	sel := sse.Selection{Patterns: []sse.Pattern{mustPattern(t, "a/*")}}
	topics := make([]string, 257)
	for n, want := range map[int]bool{256: false, 257: true} {
		allocs := testing.AllocsPerRun(10, func() { sel.Match(topics[:n]) })
		if got := allocs > 0; got != want {
			t.Errorf("with %d topics, Match allocates: %t, want %t", n, got, want)
		}
	}
}

func TestSelectionMatch(t *testing.T) {
	patterns := func(texts ...string) (patterns []sse.Pattern) {
		for _, text := range texts {
			patterns = append(patterns, mustPattern(t, text))
		}
		return patterns
	}
	unnamed := []string{""} // the topics of an event published without a topic
	for _, test := range []struct {
		name    string
		sel     sse.Selection
		yes, no [][]string
	}{
		{"zero", sse.Selection{}, [][]string{unnamed}, [][]string{{"a"}, {"*"}, {"a", "b"}}},
		{"empty, not nil", sse.Selection{Topics: []string{}, Patterns: []sse.Pattern{}},
			[][]string{unnamed}, [][]string{{"a"}}},
		{"topic", sse.Selection{Topics: []string{"a"}},
			[][]string{{"a"}, {"b", "a"}}, [][]string{unnamed, {"b"}, {"a/b"}, {"A"}}},
		{"topics", sse.Selection{Topics: []string{"a", "b"}},
			[][]string{{"a"}, {"b"}, {"c", "b"}, {"b", "a"}}, [][]string{unnamed, {"c"}}},
		{"the unnamed topic and another", sse.Selection{Topics: []string{"", "a"}},
			[][]string{unnamed, {"a"}}, [][]string{{"b"}}},
		{"a topic is no pattern", sse.Selection{Topics: []string{"*", "a/**"}},
			[][]string{{"*"}, {"a/**"}}, [][]string{unnamed, {"a"}, {"a/b"}}},
		{"pattern", sse.Selection{Patterns: patterns("a/*")},
			[][]string{{"a/b"}, {"c", "a/b"}}, [][]string{unnamed, {"a"}, {"a/b/c"}}},
		{"patterns", sse.Selection{Patterns: patterns("a/*", "b/**")},
			[][]string{{"a/b"}, {"b/c/d"}}, [][]string{unnamed, {"a/b/c"}, {"b"}}},
		{"one segment", sse.Selection{Patterns: patterns("*")},
			[][]string{unnamed, {"a"}}, [][]string{{"a/b"}}},
		{"everything", sse.Selection{Patterns: patterns("**")},
			[][]string{unnamed, {"a"}, {"a/b"}, {"*"}, {"/"}}, nil},
		{"topic or pattern", sse.Selection{Topics: []string{"x"}, Patterns: patterns("a/*")},
			[][]string{{"x"}, {"a/b"}, {"y", "x"}}, [][]string{unnamed, {"y"}, {"a"}}},
		{"zero pattern", sse.Selection{Patterns: make([]sse.Pattern, 1)},
			nil, [][]string{unnamed, {"a"}, {"**"}}},
		{"the filter is not called", sse.Selection{Filter: func(*sse.Entry) bool { panic("called") }},
			[][]string{unnamed}, [][]string{{"a"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, topics := range test.yes {
				if !test.sel.Match(topics) {
					t.Errorf("does not match %q", topics)
				}
			}
			for _, topics := range append(test.no, nil) {
				if test.sel.Match(topics) {
					t.Errorf("matches %q", topics)
				}
			}
		})
	}
}

// A filter selects events by more than their topic, here by their type. The broker
// calls it for every event of the selected topics. A stream with a filter is never
// parked, so it needs a goroutine even if Broker.Park is set.
func ExampleSelection_filter() {
	var broker sse.Broker
	ctx := context.Background()
	for _, kind := range []string{"debug", "error", "debug"} {
		broker.Publish(ctx, sse.Event{Type: kind, Data: "a line of the log"}, "log")
	}
	sel := sse.Selection{
		Topics: []string{"log"},
		Filter: func(e *sse.Entry) bool { return e.Event.Type == "error" },
	}
	for event, err := range broker.Subscribe(ctx, sel, sse.Start{Earliest: true}) {
		fmt.Println(event.Type, err)
		break
	}
	// Output:
	// error <nil>
}

// If Select returns a ResponseError, the broker sends the response that the
// documentation of ResponseError describes.
func TestSelectResponse(t *testing.T) {
	const text = "text/plain; charset=utf-8"
	type fields = map[string]string // "" means that the field must be absent
	for _, test := range []struct {
		name   string
		err    sse.ResponseError
		status int
		body   string
		header fields
	}{
		{"reason", sse.ResponseError{StatusCode: 401, Reason: "log in"}, 401, "log in\n",
			fields{"Content-Type": text, "Cache-Control": "no-store",
				"X-Content-Type-Options": "nosniff", "Content-Length": "7"}},
		{"body", sse.ResponseError{StatusCode: 422, Reason: "not sent", Body: []byte("a\r\nb")}, 422,
			"a\r\nb", fields{"Content-Type": text, "Content-Length": "4"}},
		{"type", sse.ResponseError{StatusCode: 403, Body: []byte(`{"error":1}`), Header: http.Header{
			"content-type": {"application/problem+json"}, "Cache-Control": {"max-age=5"},
			"Content-Length": {"3"}, "X-Many": {"1", "2"}}}, 403, `{"error":1}`,
			fields{"Content-Type": "application/problem+json", "Cache-Control": "max-age=5",
				"Content-Length": "11", "X-Many": "1|2"}},
		{"redirect", sse.ResponseError{StatusCode: 307, Header: http.Header{"Location": {"/other"}}},
			307, "", fields{"Location": "/other", "Content-Type": "", "Cache-Control": "no-store"}},
		{"redirect with a reason", sse.ResponseError{StatusCode: 302, Reason: "moved",
			Header: http.Header{"Location": {"/other"}}}, 302, "moved\n", fields{"Location": "/other"}},
		{"coded body", sse.ResponseError{StatusCode: 500, Body: []byte("\x1F\x8B"),
			Header: http.Header{"Content-Encoding": {"gzip"}}}, 500, "\x1F\x8B",
			fields{"Content-Encoding": "gzip"}},
		{"coding without a body", sse.ResponseError{StatusCode: 502, Reason: "r",
			Header: http.Header{"Content-Encoding": {"br"}}}, 502, "r\n", fields{"Content-Encoding": ""}},
		{"no content", sse.ResponseError{StatusCode: 204, Reason: "r", Body: []byte("b"),
			Header: http.Header{"X-A": {"1"}}}, 204, "", fields{"X-A": "1", "Content-Type": ""}},
		{"not modified", sse.ResponseError{StatusCode: 304, Reason: "r"}, 304, "", nil},
		{"empty", sse.ResponseError{StatusCode: 404}, 404, "", fields{"Content-Type": ""}},
		{"no status", sse.ResponseError{Reason: "r"}, 403, "r\n", nil},
		{"success", sse.ResponseError{StatusCode: 200, Reason: "r"}, 403, "r\n", nil},
		{"switching protocols", sse.ResponseError{StatusCode: 101, Reason: "r"}, 403, "r\n", nil},
		{"beyond", sse.ResponseError{StatusCode: 600, Reason: "r"}, 403, "r\n", nil},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			inBubble(t, test.name+" "+method, func(t *testing.T) {
				broker := &sse.Broker{Select: func(*http.Request) (sse.Selection, error) {
					return sse.Selection{}, &test.err
				}}
				server := ssetest.NewServer(t, broker, nil)
				client := server.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error {
					return http.ErrUseLastResponse
				}
				request, _ := http.NewRequestWithContext(t.Context(), method, server.URL(), nil)
				request.Header.Set("Accept-Encoding", "identity")
				resp, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				want := test.body
				if method == "HEAD" {
					want = ""
				}
				if resp.StatusCode != test.status || string(body) != want {
					t.Errorf("got %s and the body %q, want %d and %q", resp.Status, body, test.status, want)
				}
				for name, want := range test.header {
					if got := strings.Join(resp.Header[name], "|"); got != want {
						t.Errorf("got %s %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}
