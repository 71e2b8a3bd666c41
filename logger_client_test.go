package sse_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Issue 2: "a hook and the logger tell it." And they tell no secrets, which are
// in a URL's user and query.
func TestClientLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, answer("data: a\n\n"), refusal(503), broken(), held("data: b\n\n"))
		var log bytes.Buffer
		f.client.Logger = slog.New(slog.NewTextHandler(&log, nil))
		f.client.URL = "http://me:secret@one.example/events?token=secret"
		f.client.MaxRetryDelay = -1
		f.server.Stop()
		time.AfterFunc(time.Second/2, f.server.Start)
		f.mustReceive(2)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{"lost", "connected", "lost", "lost", "connected", "lost", "connected"}
		if len(lines) != len(want) {
			t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), log.String())
		}
		for i, line := range lines {
			if !strings.Contains(line, want[i]) || !strings.Contains(line, "http://one.example/events") {
				t.Errorf("line %d: got %q, want one that says %q and names the URL", i+1, line, want[i])
			}
			if strings.Contains(line, "lost") && !strings.Contains(line, "delay=1s") {
				t.Errorf("line %d: got %q, want one that says delay=1s", i+1, line)
			}
			if strings.Contains(line, "secret") {
				t.Errorf("line %d tells a secret: %s", i+1, line)
			}
		}
		if !strings.Contains(lines[0], "refused") || !strings.Contains(lines[2], "EOF") ||
			!strings.Contains(lines[3], "503") {
			t.Errorf("the reasons are not told:\n%s", log.String())
		}
	})
}
