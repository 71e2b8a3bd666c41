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

// The tests of ssetest run TestEventLog with a log without a file and with a log
// with a file. The tests here concern only the file.

// appendTo is an environment variable. If it is set, the test binary runs
// appendForever with its value until the process is killed.
const appendTo = "REFLOG_TEST_APPEND_TO"

// appendForever appends entries, two with each call, and prints the position of
// each entry after Append has returned.
func appendForever(path string) {
	log, err := reflog.Open(path, nil)
	for i := 0; err == nil; i++ {
		var result sse.AppendResult
		result, err = log.Append(context.Background(), sse.AppendRequest{
			Entries: []sse.Entry{entry(2 * i), entry(2*i + 1)},
		})
		for _, p := range result.Positions {
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

func TestEntriesSurviveKill(t *testing.T) {
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
		for n := 0; lines.Scan(); n++ { // reads on after Kill: all printed positions count
			printed = append(printed, lines.Text())
			if n == 10*(round+1) {
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = command.Wait() // returns an error, because the process was killed

		stored := make(map[string]bool)
		for _, e := range readAll(t, open(t, path)) {
			stored[e.Position.String()] = true
		}
		for _, p := range printed {
			if !stored[p] {
				t.Fatalf("round %d: position %s was appended, but is not stored", round, p)
			}
		}
	}
	if len(printed) < 63 {
		t.Errorf("got %d positions, want at least 63", len(printed))
	}
}

// A line without a line end was written by an Append that did not return, so the
// epoch stays the same. A damaged line means that entries are lost, so the log
// begins a new epoch.
func TestDamagedFile(t *testing.T) {
	for _, test := range []struct {
		name      string
		damage    func(text []byte) []byte
		stored    int
		sameEpoch bool
	}{
		{"the last line is torn", func(text []byte) []byte { return text[:len(text)-9] }, 4, true},
		{"bytes follow the last line", func(text []byte) []byte { return append(text, `{"seq":6`...) }, 5, true},
		{"the last line is damaged", func(text []byte) []byte {
			text[len(text)-20] ^= 1
			return text
		}, 4, false},
		{"a line is missing", func(text []byte) []byte {
			lines := bytes.SplitAfter(text, []byte("\n"))
			return bytes.Join(append(lines[:2:2], lines[3:]...), nil)
		}, 1, false},
		{"a line is changed", func(text []byte) []byte {
			return bytes.Replace(text, []byte(`"topics":["a"]`), []byte(`"topics":["b"]`), 1)
		}, 0, false},
		{"the file is empty", func(text []byte) []byte { return nil }, 0, false},
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
			for round := range 2 { // the second round checks that the repair lasts
				log = open(t, path)
				entries := readAll(t, log)
				if want := test.stored + round; len(entries) != want {
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
	for _, err := range log.Follow(t.Context(), sse.ReadRequest{}) {
		n++
		if n == 1 {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, reflog.ErrClosed) {
			t.Errorf("Follow: got error %v, want %v", err, reflog.ErrClosed)
		}
	}
	if _, err := log.Append(t.Context(), sse.AppendRequest{Entries: []sse.Entry{entry(1)}}); n != 2 || !errors.Is(err, reflog.ErrClosed) {
		t.Errorf("got %d values from Follow, error %v from Append; want 2, %v", n, err,
			reflog.ErrClosed)
	}
	if err := log.Close(); err != nil {
		t.Errorf("second Close: got error %v, want none", err)
	}
}

func TestOpenFails(t *testing.T) {
	if log, err := reflog.Open(t.TempDir(), nil); err == nil {
		t.Errorf("Open of a directory: got %v, want an error", log)
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
	result, err := log.Append(t.Context(), sse.AppendRequest{Entries: []sse.Entry{entry(i)}})
	if err != nil {
		t.Fatal(err)
	}
	return result.Positions[0]
}

func readAll(t *testing.T, log *reflog.Log) []sse.Entry {
	t.Helper()
	pattern, err := sse.ParsePattern("**")
	if err != nil {
		t.Fatal(err)
	}
	sel := sse.Selection{Patterns: []sse.Pattern{pattern}}
	page, err := log.Read(t.Context(), sse.ReadRequest{Selection: sel, Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

// If the file contains only a part of a request with a key, Append did not return.
// Open then removes that part, and the same request can be stored again.
func TestPartOfKeyedRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log := open(t, path)
	before := sse.AppendRequest{Entries: []sse.Entry{entry(0)}}
	request := sse.AppendRequest{Key: "key", Owner: "owner", Entries: []sse.Entry{entry(1), entry(2)}}
	for _, r := range []sse.AppendRequest{before, request} {
		if _, err := log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The last line is the second entry of the request.
	end := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
	if err := os.Truncate(path, int64(end)); err != nil {
		t.Fatal(err)
	}
	log = open(t, path)
	page, err := log.Read(t.Context(), sse.ReadRequest{
		Limit: 1 << 20, Selection: sse.Selection{Topics: []string{"a"}},
	})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Event.Data != entry(0).Event.Data {
		t.Errorf("got %v, %v, want the entry before the request", page.Entries, err)
	}
	result, err := log.Append(t.Context(), request)
	if err != nil || result.Replayed || len(result.Positions) != 2 || result.Positions[0].Seq != 2 {
		t.Errorf("got %v, %v, want the request stored as entries 2 and 3", result, err)
	}
}
