package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sse-go/sse"
)

// A letter outside ASCII has the same meaning with and without escapes. It does not
// change the meaning of another escape in the same path, such as %2C.
func TestPathWithNonASCIILetters(t *testing.T) {
	for target, want := range map[string][]string{
		"/café":              {"café"},
		"/caf%C3%A9":         {"café"},
		"/café,caf%c3%a9/b":  {"café", "café/b"},
		"/café%2Cb":          nil, // it must not become the two topics café and b
		"/caf%C3%A9%2Cb":     nil,
		"/café%2Fb":          nil,
		"/café/%2e%2e/b":     nil,
		"/%2D/publish,café":  nil,
		"/café%2Cb?topic=no": nil,
	} {
		broker := &sse.Broker{}
		w, ok := exchange(newAPI(t, broker), "POST", target, "hello")
		if !ok {
			t.Fatalf("%s is not a valid request", target)
		}
		stored := newestEntries(t, broker, 10)
		switch {
		case want == nil && (w.Code != http.StatusBadRequest || len(stored) > 0):
			t.Errorf("%s: %d %q, want status 400 and no event", target, w.Code, w.Body)
		case want != nil && (len(stored) != 1 || !slices.Equal(stored[0].Topics, want)):
			t.Errorf("%s: %d %q, published %+v, want topics %q", target, w.Code, w.Body, stored, want)
		}
	}
}
