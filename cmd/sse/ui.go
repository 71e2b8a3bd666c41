package main

// The rules of output:
//
//   - stdout carries only the requested data, one record per line (the data of
//     an event may have several lines). A pipe never receives color.
//   - stderr carries everything else. A message is "sse: …", in lower case and
//     without a period. Advice follows it as "sse: hint: …".
//   - A message appears once. If a server is unreachable all night, sse does not
//     print a line for each attempt. It prints one line when the stream is lost, one
//     for each new reason, and one when the stream is open again.
//   - Color appears only on a terminal, and not if NO_COLOR is set or TERM is
//     "dumb". The progress line, which is redrawn, appears only on a terminal
//     whose TERM is not "dumb".
//   - On a terminal, the control characters in a server's text are made
//     visible. Otherwise an event could, for example, move the cursor or rename the
//     window. With --raw, with --json and in a pipe, the text is data and is not
//     changed (JSON escapes control characters).

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// ui prints to stdout and stderr. It is not safe for concurrent use. In sse listen, one
// goroutine prints everything: a Client calls its hooks, which print messages, in the
// goroutine that also prints its events. In sse serve, hubReporter guards the ui with a
// lock.
type ui struct {
	out, err    output
	now         func() time.Time
	hasProgress bool // the cursor is at the end of a progress line on stderr

	hinted map[string]bool // hints that have been printed
	table  table           // of events on a terminal
}

func newUI(stdout, stderr io.Writer, env lookupEnv) *ui {
	return &ui{
		out:    newOutput(stdout, isTerminal(stdout), env),
		err:    newOutput(stderr, isTerminal(stderr), env),
		now:    time.Now,
		hinted: map[string]bool{},
	}
}

// printPage prints a requested text, for example a help page, to stdout. It
// returns the exit code.
func (u *ui) printPage(page string) (code int) {
	if _, err := io.WriteString(u.out, page); err != nil && !isClosedPipe(err) {
		return u.fail(fmt.Errorf("cannot write: %w", err))
	}
	return exitDone
}

// report prints a message line to stderr, in the given style.
func (u *ui) report(style, format string, args ...any) {
	u.clearProgress()
	line := visible(fmt.Sprintf(format, args...), false)
	u.writeError(u.err.paint(dim, "sse:") + " " + u.err.paint(style, line) + "\n")
}

// hint prints advice to stderr. It prints the same advice only once.
func (u *ui) hint(advice string) {
	if advice == "" || u.hinted[advice] {
		return
	}
	u.hinted[advice] = true
	u.clearProgress()
	u.writeError(u.err.paint(dim, "sse: hint:") + " " + visible(advice, false) + "\n")
}

// showProgress shows a line on stderr, until the next line is printed. It does
// nothing if stderr is not a terminal. The line must be short, because a line that
// is wider than the terminal cannot be removed.
func (u *ui) showProgress(format string, args ...any) {
	if !u.err.terminal {
		return
	}
	u.clearProgress()
	line := visible(fmt.Sprintf(format, args...), false)
	u.writeError(u.err.paint(dim, "sse: "+line))
	u.hasProgress = true
}

// writeError writes to stderr. It ignores errors, because no other output is
// left to report them.
func (u *ui) writeError(s string) { _, _ = io.WriteString(u.err, s) }

// clearProgress removes the progress line. While a stream is open or reconnects, every
// method that prints a line calls clearProgress first.
func (u *ui) clearProgress() {
	if u.hasProgress {
		u.writeError("\r\x1b[K")
		u.hasProgress = false
	}
}

// clearInterrupt removes the ^C that a terminal shows for an interrupt, so that the
// shell's prompt begins at the start of a line. If midLine is true, the ^C may follow
// a part of a line of stdout. Then clearInterrupt ends this line and removes nothing.
func (u *ui) clearInterrupt(midLine bool) {
	switch {
	case u.err.terminal && midLine:
		u.writeError("\n")
	case u.err.terminal:
		u.writeError("\r\x1b[K")
	}
}

// fail prints err and returns the exit code for it.
func (u *ui) fail(err error) (code int) {
	f := &failure{message: text.WithoutPrefix(err), code: exitFailed}
	errors.As(err, &f)
	u.report(red, "%s", f.message)
	if f.detail != "" {
		u.report("", "%s", f.detail)
	}
	u.hint(f.hint)
	return f.code
}

// visible returns s with visible symbols in place of its control characters.
// It leaves tabs and, if lines is true, line feeds unchanged.
func visible(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || lines && r == '\n':
			return r
		case r < 0x20:
			return r + 0x2400 // U+2400 is the symbol for NUL, and so on
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0:
			return '\ufffd'
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\ufffd' // characters that change the direction of the text
		}
		return r
	}, s)
}
