package main

// What is printed, and where:
//
//   - stdout is data: what was asked for and nothing else, one record a line
//     (an event's data may have several). A pipe never sees colour.
//   - stderr is everything else: "sse: …", lower case, no period; what to do
//     about it follows as "sse: hint: …".
//   - A thing is said once. A server that is away for a night costs two lines,
//     not ten thousand: one when it is lost, one when it is back.
//   - Colour only on a terminal, not with NO_COLOR, not on a dumb one. The line
//     that is redrawn while we wait only on a terminal that is not dumb.
//   - What a server sends reaches a terminal only with its control characters
//     made visible: an event must not be able to move the cursor, rename the
//     window or type. With --raw, --json or a pipe nothing is touched: there it
//     is data (JSON escapes controls anyway).

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"
)

// ui prints. It is not safe for concurrent use: a Client calls its hooks in
// the goroutine that ranges over its events.
type ui struct {
	out, err output
	now      func() time.Time
	waiting  bool // the cursor is at the end of a line of stderr that will be redrawn

	hinted map[string]bool // what has been said once
	table  table           // of events on a terminal
}

// output is one of the two streams.
type output struct {
	io.Writer
	terminal bool // and not a dumb one: lines may be redrawn
	colour   bool
}

func newUI(stdout, stderr io.Writer, env lookup) *ui {
	return &ui{
		out:    newOutput(stdout, isTerminal(stdout), env),
		err:    newOutput(stderr, isTerminal(stderr), env),
		now:    time.Now,
		hinted: map[string]bool{},
	}
}

// windows is where terminals and pipes have ways of their own.
const windows = runtime.GOOS == "windows"

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newOutput decides what w can show.
func newOutput(w io.Writer, terminal bool, env lookup) output {
	set := func(name string) bool { value, _ := env(name); return value != "" }
	if value, _ := env("TERM"); value == "dumb" {
		terminal = false
	}
	// A bare Windows console prints escape sequences as they are; the terminals
	// that interpret them say who they are.
	if windows && !set("WT_SESSION") && !set("TERM") {
		terminal = false
	}
	return output{Writer: w, terminal: terminal, colour: terminal && !set("NO_COLOR")}
}

// SGR parameters, the numbers of an escape sequence that sets a style.
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint returns text in a style, if the output has colours.
func (o output) paint(style, text string) string {
	if !o.colour || text == "" || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// page prints a text that was asked for.
func (u *ui) page(text string) (code int) {
	if _, err := io.WriteString(u.out, text); err != nil && !isClosedPipe(err) {
		return u.fail(fmt.Errorf("cannot write: %w", err))
	}
	return exitDone
}

// say prints a line about what goes on. Style colours it.
func (u *ui) say(style, format string, args ...any) {
	u.settle()
	text := visible(fmt.Sprintf(format, args...), false)
	u.tell(u.err.paint(dim, "sse:") + " " + u.err.paint(style, text) + "\n")
}

// hint says what can be done, the same advice only once.
func (u *ui) hint(text string) {
	if text == "" || u.hinted[text] {
		return
	}
	u.hinted[text] = true
	u.settle()
	u.tell(u.err.paint(dim, "sse: hint:") + " " + visible(text, false) + "\n")
}

// wait shows a line that the next print takes away again. Nothing on anything
// but a terminal. Keep it short: a line that wraps cannot be redrawn.
func (u *ui) wait(format string, args ...any) {
	if !u.err.terminal {
		return
	}
	u.settle()
	text := visible(fmt.Sprintf(format, args...), false)
	u.tell(u.err.paint(dim, "sse: "+text))
	u.waiting = true
}

// tell writes to stderr. If that fails there is nobody left to tell.
func (u *ui) tell(text string) { _, _ = io.WriteString(u.err, text) }

// settle takes away the line that waits. Whatever prints calls it first.
func (u *ui) settle() {
	if u.waiting {
		u.tell("\r\x1b[K")
		u.waiting = false
	}
}

// interrupted takes away the ^C that a terminal shows for an interrupt, so that
// the shell's prompt begins its line. If stdout may have left half a line, it
// ends that instead.
func (u *ui) interrupted(midLine bool) {
	switch {
	case u.err.terminal && midLine:
		u.tell("\n")
	case u.err.terminal:
		u.tell("\r\x1b[K")
	}
}

// fail prints an error and returns the exit code for it.
func (u *ui) fail(err error) (code int) {
	f := &failure{message: strings.TrimPrefix(err.Error(), "sse: "), code: exitFailed}
	errors.As(err, &f)
	u.say(red, "%s", f.message)
	if f.detail != "" {
		u.say("", "%s", f.detail)
	}
	u.hint(f.hint)
	return f.code
}

// visible returns text with its control characters made visible, except tabs
// and, if lines is true, line feeds.
func visible(text string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || lines && r == '\n':
			return r
		case r < 0x20:
			return r + 0x2400 // U+2400 is the picture of NUL, and so on
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0:
			return '\ufffd'
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\ufffd' // marks that reorder what is read
		}
		return r
	}, text)
}

// shorten returns the first line of text, at most limit characters of it.
func shorten(text string, limit int) string {
	text, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	runes := []rune(strings.TrimSpace(text))
	if len(runes) > limit {
		runes, more = runes[:limit], true
	}
	if more {
		return string(runes) + " …"
	}
	return string(runes)
}
