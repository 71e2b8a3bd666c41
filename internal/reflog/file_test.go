package reflog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// What every log must do is in ssetest, whose tests run its kit on this log. Here
// is what only a file can show.

// appendTo makes the test binary a process to be killed.
const appendTo = "REFLOG_TEST_APPEND_TO"

// appendForever prints the position of everything that it has appended.
func appendForever(path string) {
	log, err := reflog.Open(path, nil)
	for i := 0; err == nil; i++ {
		var positions []sse.Position
		positions, err = log.Append(context.Background(), entry(2*i), entry(2*i+1))
		for _, p := range positions {
			fmt.Println(p)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func entry(i int) sse.Entry {
	return sse.Entry{
		Time: time.Unix(1_700_000_000, int64(i)), Topics: []string{"a"},
		Event: sse.Event{Data: fmt.Sprintf("event %d\r\n\xff", i)},
	}
}

func TestOutlivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var printed []string
	for round := range 3 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), appendTo+"="+path)
		command.Stderr = os.Stderr
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ { // to the end: what is printed is appended
			printed = append(printed, lines.Text())
			if n == 10*(round+1) {
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = command.Wait() // it was killed

		kept := make(map[string]bool)
		for _, e := range readAll(t, open(t, path)) {
			kept[e.Position.String()] = true
		}
		for _, p := range printed {
			if !kept[p] {
				t.Fatalf("round %d: %s was appended, and is lost", round, p)
			}
		}
	}
	if len(printed) < 63 {
		t.Errorf("got %d positions, want at least 63", len(printed))
	}
}

// A torn line is of an Append that has not returned; a damaged one is a loss.
func TestDamagedFile(t *testing.T) {
	for _, test := range []struct {
		name      string
		damage    func(text []byte) []byte
		kept      int
		sameEpoch bool
	}{
		{"torn in the last line", func(text []byte) []byte { return text[:len(text)-9] }, 4, true},
		{"more bytes at the end", func(text []byte) []byte { return append(text, `{"seq":6`...) }, 5, true},
		{"a damaged last line", func(text []byte) []byte {
			text[len(text)-20] ^= 1
			return text
		}, 4, false},
		{"a line is missing", func(text []byte) []byte {
			lines := bytes.SplitAfter(text, []byte("\n"))
			return bytes.Join(append(lines[:2:2], lines[3:]...), nil)
		}, 1, false},
		{"other data", func(text []byte) []byte {
			return bytes.Replace(text, []byte(`"topics":["a"]`), []byte(`"topics":["b"]`), 1)
		}, 0, false},
		{"nothing is left", func(text []byte) []byte { return nil }, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			log := open(t, path)
			var last sse.Position
			for i := range 5 {
				last = appendOne(t, log, i)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.damage(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for round := range 2 { // what was mended once stays so
				log = open(t, path)
				entries := readAll(t, log)
				if want := test.kept + round; len(entries) != want {
					t.Fatalf("got %d entries, want %d", len(entries), want)
				}
				p := appendOne(t, log, 7)
				if p.Seq != uint64(len(entries)+1) || (p.Epoch == last.Epoch) != test.sameEpoch {
					t.Errorf("got %+v after %+v, want number %d, the same epoch: %t",
						p, last, len(entries)+1, test.sameEpoch)
				}
				if len(entries) > 0 && entries[0].Position.Epoch != p.Epoch {
					t.Error("got two epochs, want one")
				}
			}
		})
	}
}

func TestClose(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "log"))
	appendOne(t, log, 1)
	n := 0
	for _, err := range log.Follow(t.Context(), sse.Position{}) {
		n++
		if n == 1 {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, reflog.ErrClosed) {
			t.Errorf("got error %v of Follow, want %v", err, reflog.ErrClosed)
		}
	}
	if _, err := log.Append(t.Context(), entry(1)); n != 2 || !errors.Is(err, reflog.ErrClosed) {
		t.Errorf("got %d yields, error %v of Append; want 2, %v", n, err, reflog.ErrClosed)
	}
	if err := log.Close(); err != nil {
		t.Errorf("got error %v of a second Close", err)
	}
}

func TestOpenFails(t *testing.T) {
	if log, err := reflog.Open(t.TempDir(), nil); err == nil {
		t.Errorf("got %v of a directory, want an error", log)
	}
}

func open(t *testing.T, path string) *reflog.Log {
	t.Helper()
	log, err := reflog.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func appendOne(t *testing.T, log *reflog.Log, i int) sse.Position {
	t.Helper()
	positions, err := log.Append(t.Context(), entry(i))
	if err != nil {
		t.Fatal(err)
	}
	return positions[0]
}

func readAll(t *testing.T, log *reflog.Log) []sse.Entry {
	t.Helper()
	pattern, err := sse.ParsePattern("**")
	if err != nil {
		t.Fatal(err)
	}
	sel := sse.Selection{Patterns: []sse.Pattern{pattern}}
	page, err := log.Read(t.Context(), sse.Position{}, sse.Position{}, sel, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}
