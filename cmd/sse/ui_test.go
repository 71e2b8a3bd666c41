package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// newTestUI returns a ui that prints to two buffers. If terminal is true, it prints
// as if the buffers were terminals, and otherwise as if they were pipes.
func newTestUI(terminal, color bool) (u *ui, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	u = newUI(stdout, stderr, noEnv)
	u.out.terminal, u.out.color = terminal, color
	u.err.terminal, u.err.color = terminal, color
	u.now = func() time.Time { return noon }
	return u, stdout, stderr
}

// noEnv is an empty environment.
func noEnv(string) (string, bool) { return "", false }

// The ^C on a terminal is removed, unless the line with the ^C may contain data.
func TestClearInterrupt(t *testing.T) {
	for _, tt := range []struct {
		terminal, midLine bool
		want              string
	}{
		{false, false, ""}, {false, true, ""}, {true, false, "\r\x1b[K"}, {true, true, "\n"},
	} {
		u, _, stderr := newTestUI(tt.terminal, false)
		if u.clearInterrupt(tt.midLine); stderr.String() != tt.want {
			t.Errorf("terminal %t, mid-line %t: got %q, want %q",
				tt.terminal, tt.midLine, stderr, tt.want)
		}
	}
}

// Text from a server must not control the terminal.
func TestControlCharactersAreVisible(t *testing.T) {
	u, _, stderr := newTestUI(false, false)
	target, _ := parseURL(":3000")
	u.fail(explain(&sse.ResponseError{
		StatusCode: 404, Status: "404 \x1b]0;title\x07",
		Body: []byte("\x1b[2J\xff gone\r\nsse: connected\n"),
	}, target))
	u.report("", "comment: %s", "a\rsse: connected")
	want := "sse: 404 ␛]0;title␇: http://localhost:3000\n" +
		"sse: the server says: ␛[2J\ufffd gone …\n" +
		"sse: hint: check the path: the server at localhost:3000 responds, but not to /\n" +
		"sse: comment: a␍sse: connected\n"
	if got := stderr.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
