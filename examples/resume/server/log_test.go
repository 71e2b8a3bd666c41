package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// TestFileLog runs the conformance tests that every EventLog should pass.
func TestFileLog(t *testing.T) {
	open := func(t testing.TB, path string) sse.EventLog {
		l, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.file.Close() })
		return l
	}
	ssetest.TestEventLog(t, ssetest.EventLogOptions{
		Open: func(t testing.TB, _ ssetest.EventLogSetup) sse.EventLog {
			return open(t, filepath.Join(t.TempDir(), "events.jsonl"))
		},
		// The file stays open, as after a kill.
		Reopen: func(t testing.TB, log sse.EventLog) sse.EventLog {
			return open(t, log.(*fileLog).file.Name())
		},
		Lose: func(t testing.TB, log sse.EventLog, n int) sse.EventLog {
			path := log.(*fileLog).file.Name()
			lines := readLines(t, path)
			writeFile(t, path, slices.Concat(lines[:len(lines)-n]...))
			return open(t, path)
		},
		ExactLost: true, Gapless: true, Contiguous: true,
	})
}

// TestDamagedFile opens files with an incomplete line and with a changed line.
func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"one", "two"} {
		if _, err := l.Append(t.Context(), sse.AppendRequest{Entries: []sse.Entry{{Topics: []string{""}, Event: sse.Event{Data: data}}}}); err != nil {
			t.Fatal(err)
		}
	}
	l.file.Close()
	whole := slices.Concat(readLines(t, path)...)

	// No reader has seen an incomplete line.
	writeFile(t, path, whole[:len(whole)-5])
	if l, err = openLog(path); err != nil || len(l.entries) != 1 {
		t.Errorf("without the end of the last line: %d entries, %v, want 1", len(l.entries), err)
	}
	l.file.Close()

	writeFile(t, path, bytes.Replace(whole, []byte(`"one"`), []byte(`"0ne"`), 1))
	if _, err = openLog(path); err == nil || !strings.HasSuffix(err.Error(), "line 2 is damaged") {
		t.Errorf("with another text in line 2: %v", err)
	}
}

// TestDiskFails checks that after a failed write every further Append fails.
func TestDiskFails(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	l.file.Close()
	broker := &sse.Broker{Log: l}
	defer broker.Shutdown(t.Context())
	for range 2 {
		if _, err := broker.Publish(t.Context(), sse.Event{Data: "lost"}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Publish: %v, want the error of the disk", err)
		}
	}
	if at, err := broker.Position(t.Context()); err != nil || at.Seq != 0 {
		t.Errorf("Position: %v, %v, want the beginning", at, err)
	}
}

func readLines(t testing.TB, path string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
