package wire_test

import (
	"bytes"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse/internal/testrand"
	"github.com/sse-go/sse/internal/wire"
)

// decodeSlowly decodes UTF-8 byte by byte. It follows the steps that the standard
// gives for the decoder's handler, and appends U+FFFD for each error.
//
// Encoding 8.1.1: "UTF-8's decoder's handler, given ioQueue and byte …"
func decodeSlowly(queue []byte) []rune {
	var (
		out           []rune
		codePoint     rune
		bytesSeen     int
		bytesNeeded   int
		lowerBoundary byte = 0x80
		upperBoundary byte = 0xBF
	)
	for i := 0; i < len(queue); i++ {
		c := queue[i]
		if bytesNeeded == 0 {
			switch {
			case c <= 0x7F:
				out = append(out, rune(c))
			case c >= 0xC2 && c <= 0xDF:
				bytesNeeded = 1
				codePoint = rune(c & 0x1F)
			case c >= 0xE0 && c <= 0xEF:
				if c == 0xE0 {
					lowerBoundary = 0xA0
				}
				if c == 0xED {
					upperBoundary = 0x9F
				}
				bytesNeeded = 2
				codePoint = rune(c & 0xF)
			case c >= 0xF0 && c <= 0xF4:
				if c == 0xF0 {
					lowerBoundary = 0x90
				}
				if c == 0xF4 {
					upperBoundary = 0x8F
				}
				bytesNeeded = 3
				codePoint = rune(c & 0x7)
			default:
				out = append(out, '\uFFFD')
			}
			continue
		}
		if c < lowerBoundary || c > upperBoundary {
			codePoint, bytesNeeded, bytesSeen = 0, 0, 0
			lowerBoundary, upperBoundary = 0x80, 0xBF
			i-- // "Restore byte to ioQueue."
			out = append(out, '\uFFFD')
			continue
		}
		lowerBoundary, upperBoundary = 0x80, 0xBF
		codePoint = codePoint<<6 | rune(c&0x3F)
		if bytesSeen++; bytesSeen == bytesNeeded {
			out = append(out, codePoint)
			codePoint, bytesNeeded, bytesSeen = 0, 0, 0
		}
	}
	if bytesNeeded != 0 { // "If byte is end-of-queue and … is not 0"
		out = append(out, '\uFFFD')
	}
	return out
}

// edges are the bytes at which decodeSlowly begins to treat bytes differently,
// and some bytes between them.
var edges = []byte{
	0x00, '\n', 'A', 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
	0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
}

func checkAppendValid(t *testing.T, src []byte) {
	t.Helper()
	const dst = "\xFF|" // AppendValid must not change or repair it
	got := wire.AppendValid([]byte(dst), src)
	want := dst + string(decodeSlowly(src))
	if string(got) != want {
		t.Fatalf("AppendValid(%q, %q): got %q, want %q", dst, src, got, want)
	}
	if len(got)-len(dst) < len(src) {
		t.Fatalf("AppendValid(%q): got %d bytes, want at least %d",
			src, len(got)-len(dst), len(src))
	}
}

func TestAppendValidExhaustive(t *testing.T) {
	checkAppendValid(t, nil)
	var p [4]byte
	for a := range 256 {
		p[0] = byte(a)
		checkAppendValid(t, p[:1])
		for b := range 256 {
			p[1] = byte(b)
			checkAppendValid(t, p[:2])
		}
		for _, p[1] = range edges {
			for _, p[2] = range edges {
				checkAppendValid(t, p[:3])
			}
		}
	}
	if testing.Short() {
		return
	}
	for _, p[0] = range edges {
		for _, p[1] = range edges {
			for _, p[2] = range edges {
				for _, p[3] = range edges {
					checkAppendValid(t, p[:4])
				}
			}
		}
	}
}

func TestAppendValidRandom(t *testing.T) {
	rng := testrand.New(t)
	for range 50_000 {
		p := make([]byte, rng.IntN(12))
		for i := range p {
			p[i] = edges[rng.IntN(len(edges))]
		}
		checkAppendValid(t, p)
	}
}

func TestAppendValidCopiesValidText(t *testing.T) {
	var all []byte
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			all = utf8.AppendRune(all, r)
		}
	}
	if got := wire.AppendValid(nil, all); !bytes.Equal(got, all) {
		t.Errorf("text of every code point: got %d different bytes, want a copy", len(got))
	}
}

// The tests are the examples of Unicode's tables 3-8 to 3-11, and truncated
// sequences. In want, each · stands for one U+FFFD.
func TestAppendValidSubparts(t *testing.T) {
	tests := []struct{ source, in, want string }{
		{"Unicode 3.9, table 3-8", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82A", "········A"},
		{"Unicode 3.9, table 3-9", "\xED\xA0\x80\xED\xBF\xBF\xED\xAFA", "········A"},
		{"Unicode 3.9, table 3-10", "\xF4\x91\x92\x93\xFFA\x80\xBFB", "·····A··B"},
		{"Unicode 3.9, table 3-11", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA", "····A"},
		{"truncated at the end", "x\xF0\x9F\x98", "x·"},
		{"truncated before ASCII", "\xE2\x82data", "·data"},
	}
	for _, test := range tests {
		want := strings.ReplaceAll(test.want, "·", "\uFFFD")
		if got := string(wire.AppendValid(nil, []byte(test.in))); got != want {
			t.Errorf("%s: AppendValid(%q): got %q, want %q", test.source, test.in, got, want)
		}
	}
}

// splitSlowly splits a line in the steps that the standard gives.
//
// HTML 9.2.6: "If the line starts with a U+003A COLON character (:): Ignore
// the line. If the line contains a U+003A COLON character (:): Collect the
// characters on the line before the first … If value starts with a U+0020
// SPACE character, remove it from value. … Otherwise …: using the whole line
// as the field name, and the empty string as the field value."
func splitSlowly(line string) (wire.Field, string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case strings.HasPrefix(line, ":"):
		return wire.Comment, value
	case name == "event":
		return wire.Type, value
	case name == "data":
		return wire.Data, value
	case name == "id":
		return wire.ID, value
	case name == "retry":
		return wire.Retry, value
	case name == "topic": // an extension of this library
		return wire.Topic, value
	}
	return wire.Unknown, ""
}

func TestSplit(t *testing.T) {
	names := []string{
		"data", "event", "id", "retry", "topic", "", "Data", "DATA", "EVENT", "ID", "Id", "iD", "Retry",
		"dat", "dataa", "data ", " data", "\tdata", "data\x00", "\x00data", "da-ta", "data_5",
		"\uFEFFdata", "even", "events", "i", "idd", "retr", "retryy", "d", "e", "r", "x", "ı",
		"\xFF", "message", "comment", "t", "topi", "topics", "Topic", "TOPIC", " topic",
	}
	tails := []string{
		"", ":", ": ", ":  ", ":x", ": x", ":  x", "::", ": :", ":: ", ":\t", ":\tx", " :x", " ",
		":\x00", ":x:y", ": \xFF", ":\u00A0x", "x", "=x", ";x", "：x",
	}
	for _, name := range names {
		for _, tail := range tails {
			line := name + tail
			if line == "" {
				continue // an empty line is no field; it dispatches the event
			}
			wantField, wantValue := splitSlowly(line)
			field, n := wire.Split([]byte(line))
			if field != wantField {
				t.Errorf("Split(%q): got field %d, want %d", line, field, wantField)
			} else if got := line[n:]; field != wire.Unknown && got != wantValue {
				t.Errorf("Split(%q): got value %q, want %q", line, got, wantValue)
			}
		}
	}
}

// longest is the greatest Duration of whole milliseconds.
const longest = time.Duration(math.MaxInt64) / time.Millisecond * time.Millisecond

func TestParseRetry(t *testing.T) {
	zeros := strings.Repeat("0", wire.MaxRetryDigits-1)
	tests := []struct {
		source, in string
		want       time.Duration
		ok         bool
	}{
		{"WPT format-field-retry", "03000", 3 * time.Second, true},
		{"WPT format-field-retry-bogus", "1000x", 0, false},
		{"WPT format-field-retry-empty", "", 0, false},
		{"HTML 9.2.6: base ten", "0", 0, true},
		{"HTML 9.2.6: base ten", "00", 0, true},
		{"HTML 9.2.6: base ten", "1", time.Millisecond, true},
		{"HTML 9.2.6: base ten", "0123456789", 123456789 * time.Millisecond, true},
		{"HTML 9.2.6: only ASCII digits", "-1", 0, false},
		{"HTML 9.2.6: only ASCII digits", "+1", 0, false},
		{"HTML 9.2.6: only ASCII digits", " 1", 0, false},
		{"HTML 9.2.6: only ASCII digits", "1 ", 0, false},
		{"HTML 9.2.6: only ASCII digits", "1.5", 0, false},
		{"HTML 9.2.6: only ASCII digits", "1e3", 0, false},
		{"HTML 9.2.6: only ASCII digits", "0x10", 0, false},
		{"HTML 9.2.6: only ASCII digits", "1_000", 0, false},
		{"HTML 9.2.6: only ASCII digits", "１", 0, false}, // U+FF11
		{"HTML 9.2.6: only ASCII digits", "1\x00", 0, false},
		{"HTML 9.2.6: only ASCII digits", "/", 0, false}, // before 0
		{"HTML 9.2.6: only ASCII digits", ":", 0, false}, // after 9
		{"ParseRetry: the longest", "9223372036854", longest, true},
		{"ParseRetry: longer than a Duration", "9223372036855", longest, true},
		{"ParseRetry: longer than an int64", "9223372036854775808", longest, true},
		{"ParseRetry: longer than a uint64", "99999999999999999999999", longest, true},
		{"ParseRetry: digits after an overflow", "99999999999999999999999x", 0, false},
		{"ParseRetry: the most digits", zeros + "7", 7 * time.Millisecond, true},
		{"ParseRetry: one digit more", zeros + "07", 0, false},
	}
	for _, test := range tests {
		got, ok := wire.ParseRetry([]byte(test.in))
		if got != test.want || ok != test.ok {
			t.Errorf("%s: ParseRetry(%.30q): got %v, %t, want %v, %t",
				test.source, test.in, got, ok, test.want, test.ok)
		}
	}
}

func TestAppendRetry(t *testing.T) {
	durations := []time.Duration{
		0, 1, 999_999, time.Millisecond, time.Millisecond + 1, 2*time.Millisecond - 1,
		1500 * time.Microsecond, time.Second, time.Hour, longest - 1, longest, longest + 1,
		math.MaxInt64,
	}
	for _, d := range durations {
		// The smallest number of milliseconds that is at least d.
		ms := new(big.Int).Add(big.NewInt(int64(d)), big.NewInt(int64(time.Millisecond)-1))
		ms.Div(ms, big.NewInt(int64(time.Millisecond)))
		want := "|retry: " + ms.String() + "\n"
		if got := string(wire.AppendRetry([]byte("|"), d)); got != want {
			t.Errorf("AppendRetry(%d ns): got %q, want %q", d, got, want)
		}
	}
}

func TestAppendLines(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", []string{""}},
		{"a", []string{"a"}},
		{" a", []string{" a"}},
		{":a", []string{":a"}},
		{"a\n", []string{"a", ""}},
		{"a\r", []string{"a", ""}},
		{"a\r\n", []string{"a", ""}},
		{"\n", []string{"", ""}},
		{"\r", []string{"", ""}},
		{"\r\n", []string{"", ""}},
		{"\n\r", []string{"", "", ""}},
		{"\r\r\n", []string{"", "", ""}},
		{"\r\n\n", []string{"", "", ""}},
		{"\n\n", []string{"", "", ""}},
		{"a\nb\rc\r\nd", []string{"a", "b", "c", "d"}},
		{"a\n\rb", []string{"a", "", "b"}},
		{"a\vb\fc\u0085d\u2028e\u2029f\x00", []string{"a\vb\fc\u0085d\u2028e\u2029f\x00"}},
	}
	for _, test := range tests {
		for _, name := range []string{"data", ""} {
			want := "|"
			for _, line := range test.want {
				want += name + ": " + line + "\n"
			}
			if got := string(wire.AppendLines([]byte("|"), name, test.in)); got != want {
				t.Errorf("AppendLines(%q, %q): got %q, want %q", name, test.in, got, want)
			}
		}
	}
}

// The texts are all the strings of up to seven characters, each of them CR, LF
// or x.
func TestAppendLinesExhaustive(t *testing.T) {
	lineEnds := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	texts := []string{""}
	for n := 0; n < 7; n++ {
		for _, text := range slices.Clone(texts) {
			if len(text) != n {
				continue
			}
			for _, c := range []string{"\r", "\n", "x"} {
				texts = append(texts, text+c)
			}
		}
	}
	for _, text := range texts {
		lines := strings.Split(lineEnds.Replace(text), "\n")
		want := "d: " + strings.Join(lines, "\nd: ") + "\n"
		if got := string(wire.AppendLines(nil, "d", text)); got != want {
			t.Errorf("AppendLines(%q): got %q, want %q", text, got, want)
		}
	}
}
