package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

func TestNewOutput(t *testing.T) {
	for _, tt := range []struct {
		name            string
		isTerminal      bool
		env             map[string]string
		terminal, color bool
	}{
		{name: "pipe"},
		{"terminal", true, map[string]string{"TERM": "xterm"}, true, true},
		{"NO_COLOR", true, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true, false},
		{"empty NO_COLOR", true, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true, true},
		{"dumb", true, map[string]string{"TERM": "dumb"}, false, false},
		{"pipe in color", false, map[string]string{"TERM": "xterm"}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }
			o := newOutput(io.Discard, tt.isTerminal, env)
			if o.terminal != tt.terminal || o.color != tt.color {
				t.Errorf("terminal %t, color %t; want %t, %t",
					o.terminal, o.color, tt.terminal, tt.color)
			}
		})
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("isTerminal(buffer) = true, want false")
	}
}

func TestOutputError(t *testing.T) {
	closed := &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	if got := outputError(closed); !errors.Is(got, errOutputClosed) {
		t.Errorf("EPIPE: got %v", got)
	}
	full := errors.New("disk full")
	if got := outputError(full); !errors.Is(got, full) {
		t.Errorf("got %v, want an error that wraps %v", got, full)
	}
	if got := outputError(nil); got != nil {
		t.Errorf("got %v, want nil", got)
	}
}
