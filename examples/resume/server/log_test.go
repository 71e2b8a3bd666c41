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
			lines = lines[:len(lines)-n]
			last := &lines[len(lines)-1] // becomes the last line of its Append
			*last = bytes.Replace(*last, []byte(`,"More":true`), nil, 1)
			writeFile(t, path, slices.Concat(lines...))
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
	appendEvents(t, l, "one")
	appendEvents(t, l, "two")
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

// TestPartOfAppend opens files that end within an Append of three entries, as after a crash.
// The log must have none of the three, and must store other entries in their place.
func TestPartOfAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	open := func() (l *fileLog, data string) {
		t.Helper()
		l, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.entries {
			data += e.Event.Data + " "
		}
		return l, data
	}
	l, _ := open()
	appendEvents(t, l, "a")
	appendEvents(t, l, "b", "c", "d")
	l.file.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if l, got := open(); got != "a b c d " {
		t.Errorf("the whole file has %q", got)
	} else {
		l.file.Close()
	}
	lines := readLines(t, path)
	b, c, d := len(slices.Concat(lines[:3]...)), len(slices.Concat(lines[:4]...)), len(whole)
	// b, c and d are the sizes of the file up to the ends of these lines.
	for _, size := range []int{b - 5, b - 1, b, b + 5, c - 1, c, c + 5, d - 5, d - 1} {
		writeFile(t, path, whole[:size])
		l, got := open()
		if got != "a " {
			t.Errorf("%d of %d bytes have %q, want a", size, len(whole), got)
		}
		appendEvents(t, l, "e", "f")
		l.file.Close()
		if l, got = open(); got != "a e f " {
			t.Errorf("%d of %d bytes and another Append have %q, want a e f", size, len(whole), got)
		}
		l.file.Close()
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

// appendEvents appends an event for each data, all with one call of Append.
func appendEvents(t *testing.T, l *fileLog, data ...string) {
	t.Helper()
	entries := make([]sse.Entry, len(data))
	for i := range data {
		entries[i] = sse.Entry{Topics: []string{""}, Event: sse.Event{Data: data[i]}}
	}
	if _, err := l.Append(t.Context(), sse.AppendRequest{Entries: entries}); err != nil {
		t.Fatal(err)
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
