package text_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

func TestWithoutPrefix(t *testing.T) {
	for message, want := range map[string]string{
		"sse: the disk is full": "the disk is full", "EOF": "EOF", "line 1: sse: x": "line 1: sse: x",
	} {
		if got := text.WithoutPrefix(errors.New(message)); got != want {
			t.Errorf("WithoutPrefix(%q) = %q, want %q", message, got, want)
		}
	}
}

func TestFirstLine(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "a": "a", "a\nb": "a …", "abcd": "abcd", "abcdef": "abcd …", "äöüß": "äöüß",
		" a \r\n": "a", " a \n\n b": "a …", "a\xffb": "a\xffb",
	} {
		if got := text.FirstLine(s, 4); got != want {
			t.Errorf("FirstLine(%q, 4) = %q, want %q", s, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	umlauts := strings.Repeat("ä", 80)
	for s, want := range map[string]string{
		"": `""`, "a\nb": `"a\nb"`, "\xff": `"\xff"`,
		umlauts: `"` + umlauts + `"`, umlauts + "x": `"` + umlauts + `"…`,
	} {
		if got := text.Quote(s); got != want {
			t.Errorf("Quote(%q) = %s, want %s", s, got, want)
		}
	}
}
