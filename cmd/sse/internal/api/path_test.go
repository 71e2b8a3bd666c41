package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sse-go/sse"
)

// Letters that are not of ASCII mean the same with escapes and without, and do not
// change what an escape next to them means.
func TestPathsOfLetters(t *testing.T) {
	for target, want := range map[string][]string{
		"/café":              {"café"},
		"/caf%C3%A9":         {"café"},
		"/café,caf%c3%a9/b":  {"café", "café/b"},
		"/café%2Cb":          nil, // or else it would be café and b
		"/caf%C3%A9%2Cb":     nil,
		"/café%2Fb":          nil,
		"/café/%2e%2e/b":     nil,
		"/%2D/publish,café":  nil,
		"/café%2Cb?topic=no": nil,
	} {
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "POST", target, "hello")
		if !ok {
			t.Fatalf("%s is no request", target)
		}
		kept := newest(t, broker, 10)
		switch {
		case want == nil && (w.Code != http.StatusBadRequest || len(kept) > 0):
			t.Errorf("%s: %d %q, want that it is refused", target, w.Code, w.Body)
		case want != nil && (len(kept) != 1 || !slices.Equal(kept[0].Topics, want)):
			t.Errorf("%s: %d %q, published %+v, want topics %q", target, w.Code, w.Body, kept, want)
		}
	}
}
