package main

import (
	"os"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/limits"
)

// docs/LIMITS.md lists the limits that hub.Limits returns, and sse serve has every
// flag that they name. With SSE_UPDATE_DOCS=1, the test writes the page.
func TestLimitsPage(t *testing.T) {
	t.Parallel()
	const name = "../../docs/LIMITS.md"
	s, o := newSettings("serve"), serveOptions{}
	o.define(s)
	for _, group := range hub.Limits() {
		for _, l := range group.Limits {
			if l.Flag != "" && s.flags.Lookup(l.Flag) == nil {
				t.Errorf("limit %q: sse serve has no flag --%s", l.Name, l.Flag)
			}
		}
	}
	want := limits.Page(hub.Limits())
	if os.Getenv("SSE_UPDATE_DOCS") != "" {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s differs from the limits in the code (error %v); "+
			"run SSE_UPDATE_DOCS=1 go test -run TestLimitsPage .", name, err)
	}
}
