package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// onWindows is true on Windows, where terminals and pipes work differently.
const onWindows = runtime.GOOS == "windows"

// output is stdout or stderr.
type output struct {
	io.Writer
	terminal bool // a terminal that can redraw a line
	color    bool
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newOutput returns the output for w. If terminal is true, w is a terminal. Its lines
// are then redrawn and colored, unless the environment forbids it: with TERM=dumb, the
// output has neither, and with NO_COLOR, it has no color.
func newOutput(w io.Writer, terminal bool, env lookupEnv) output {
	isSet := func(name string) bool { value, _ := env(name); return value != "" }
	if value, _ := env("TERM"); value == "dumb" {
		terminal = false
	}
	// The plain Windows console prints escape sequences as text. The terminals on
	// Windows that interpret escape sequences set one of these variables.
	if onWindows && !isSet("WT_SESSION") && !isSet("TERM") {
		terminal = false
	}
	return output{Writer: w, terminal: terminal, color: terminal && !isSet("NO_COLOR")}
}

// SGR parameters: the numbers in an escape sequence that sets a text style.
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint returns text in a style. Without color, it returns text unchanged.
func (o output) paint(style, text string) string {
	if !o.color || text == "" || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// errOutputClosed means that the reader of stdout has closed it, as head does
// after its last line.
var errOutputClosed = errors.New("stdout is closed")

// outputError returns errOutputClosed if the reader has closed stdout. It wraps
// every other error, and returns nil for nil.
func outputError(err error) error {
	switch {
	case err == nil:
		return nil
	case isClosedPipe(err):
		return errOutputClosed
	}
	return fmt.Errorf("cannot write to stdout: %w", err)
}

// isClosedPipe reports whether a write failed because the reader has closed the
// pipe.
func isClosedPipe(err error) bool {
	const errorBrokenPipe, errorNoData = syscall.Errno(109), syscall.Errno(232) // Windows
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return true
	}
	return onWindows && (errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData))
}
