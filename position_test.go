package sse_test

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/testrand"
)

// positions lists positions and their texts. The texts must not change, because
// clients have stored them as event IDs.
var positions = []struct {
	position sse.Position
	text     string
}{
	{sse.Position{Epoch: 1}, "~0.AAAAAAAAAAEAAAAA"},
	{sse.Position{Epoch: 1, Seq: 1, Check: 1}, "~1.AAAAAAAAAAEAAAAB"},
	{sse.Position{Epoch: 1 << 63, Seq: 42}, "~42.gAAAAAAAAAAAAAAA"},
	{sse.Position{Epoch: 0xDEADBEEF_00000001, Seq: 42, Check: 0xCAFEBABE}, "~42.3q2-7wAAAAHK_rq-"},
	{sse.Position{Epoch: math.MaxUint64}, "~0.__________8AAAAA"},
	{sse.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64, Check: math.MaxUint32},
		"~18446744073709551615.________________"},
	{sse.Position{Epoch: 1, Seq: 1 << 63, Check: math.MaxUint32},
		"~9223372036854775808.AAAAAAAAAAH_____"},
}

// noPositions lists texts that are not positions.
var noPositions = []struct{ name, text string }{
	{"empty", ""},
	{"mark alone", "~"},
	{"an application's id", "42"},
	{"no mark", "42.gAAAAAAAAAAAAAAA"},
	{"mark twice", "~~42.gAAAAAAAAAAAAAAA"},
	{"epoch zero", "~42.AAAAAAAAAAAAAAAA"},
	{"epoch zero with a check", "~42.AAAAAAAAAAD_____"},
	{"nothing but zeros", "~0.AAAAAAAAAAAAAAAA"},
	{"no number", "~.gAAAAAAAAAAAAAAA"},
	{"leading zero", "~042.gAAAAAAAAAAAAAAA"},
	{"two zeros", "~00.gAAAAAAAAAAAAAAA"},
	{"plus", "~+42.gAAAAAAAAAAAAAAA"},
	{"minus", "~-42.gAAAAAAAAAAAAAAA"},
	{"underscore", "~4_2.gAAAAAAAAAAAAAAA"},
	{"hexadecimal", "~0x2A.gAAAAAAAAAAAAAAA"},
	{"other digits", "~٤٢.gAAAAAAAAAAAAAAA"},
	{"beyond 64 bits", "~18446744073709551616.gAAAAAAAAAAAAAAA"},
	{"far beyond 64 bits", "~" + strings.Repeat("9", 1000) + ".gAAAAAAAAAAAAAAA"},
	{"no dot", "~42gAAAAAAAAAAAAAAA"},
	{"two dots", "~42..gAAAAAAAAAAAAAA"},
	{"fraction", "~4.2.gAAAAAAAAAAAAAAA"},
	{"no epoch", "~42."},
	{"too short", "~42.gAAAAAAAAAAAAAA"},
	{"too long", "~42.gAAAAAAAAAAAAAAAA"},
	{"too long by three bytes", "~42.gAAAAAAAAAAAAAAAAAAA"},
	{"much too long", "~42.gAAAAAAAAAAAAAAA" + strings.Repeat("A", 1<<20)},
	{"padding", "~42.gAAAAAAAAAAAAAA="},
	{"padding added", "~42.gAAAAAAAAAAAAAAA===="},
	{"base64's +", "~42.3q2+7wAAAAHKArqA"},
	{"base64's /", "~42.3q2A7wAAAAHK/rqA"},
	{"hexadecimal epoch", "~42.8000000000000000.00000000"},
	{"no base64", "~42.gAAAAAAA!AAAAAAA"},
	{"no ASCII", "~42.gAAAAAAAÄAAAAAA"},
	{"ill-formed", "~42.gAAAAAAA\xFFAAAAAAA"},
	{"LF within", "~42.gAAAAAAA\nAAAAAAA"},
	{"LF added", "~42.gAAAAAAA\nAAAAAAAA"},
	{"CRLF within", "~42.gAAAAAAA\r\nAAAAAA"},
	{"four LF", "~42.gAAA\nAAA\nAAA\nAA\n"},
	{"LF at the end", "~42.gAAAAAAAAAAAAAAA\n"},
	{"space before", " ~42.gAAAAAAAAAAAAAAA"},
	{"space after", "~42.gAAAAAAAAAAAAAAA "},
	{"NUL", "~42.gAAAAAAAAAAAAAAA\x00"},
	{"two", "~42.gAAAAAAAAAAAAAAA,~42.gAAAAAAAAAAAAAAA"},
}

func TestPosition(t *testing.T) {
	for _, test := range positions {
		if got := test.position.String(); got != test.text {
			t.Errorf("%#v: got text %q, want %q", test.position, got, test.text)
		}
		if got, err := sse.ParsePosition(test.text); got != test.position || err != nil {
			t.Errorf("%q: got %#v, %v, want %#v", test.text, got, err, test.position)
		}
	}
}

func TestParsePositionRefuses(t *testing.T) {
	for _, test := range noPositions {
		got, err := sse.ParsePosition(test.text)
		if got != (sse.Position{}) || err == nil {
			t.Errorf("%s: %.80q: got %#v, %v, want an error", test.name, test.text, got, err)
			continue
		}
		// The error contains the start of the text and an example of a position.
		quoted := fmt.Sprintf("%.9q", test.text)
		if message := err.Error(); !strings.HasPrefix(message, "sse: "+quoted[:len(quoted)-1]) ||
			!strings.Contains(message, `"~42.gAAAAAAAAAAAAAAA"`) || len(message) > 500 {
			t.Errorf("%s: got the error %q", test.name, message)
		}
	}
}

// The text of the zero position, which is no place in a log, is empty.
func TestPositionZero(t *testing.T) {
	if got := (sse.Position{}).String(); got != "" {
		t.Errorf("got text %q, want none", got)
	}
}

// The text of a position needs no escaping in a header, a query or a path.
func TestPositionNeedsNoEscaping(t *testing.T) {
	rng := testrand.New(t)
	for range 10_000 {
		// A random shift makes short and long numbers equally likely.
		want := sse.Position{
			Epoch: max(1, rng.Uint64()>>rng.IntN(64)),
			Seq:   rng.Uint64() >> rng.IntN(64),
			Check: rng.Uint32() >> rng.IntN(32),
		}
		text := want.String()
		if got, err := sse.ParsePosition(text); got != want || err != nil {
			t.Fatalf("%q: got %#v, %v, want %#v", text, got, err, want)
		}
		if url.QueryEscape(text) != text || url.PathEscape(text) != text {
			t.Fatalf("%q is changed in a URL", text)
		}
	}
}
