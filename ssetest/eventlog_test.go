package ssetest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/ssetest"
)

func TestEventLogInMemory(t *testing.T) {
	ssetest.TestEventLog(t, inMemory())
}

func TestEventLogInFile(t *testing.T) {
	ssetest.TestEventLog(t, (&files{}).options())
}

// TestEventLog also works without a bubble, in real time.
func TestEventLogWithoutBubble(t *testing.T) {
	opts := inMemory()
	opts.Bubble = false
	ssetest.TestEventLog(t, opts)
}

// TestEventLog accepts a log for which only Open is declared.
func TestEventLogWithoutCapabilities(t *testing.T) {
	ssetest.TestEventLog(t, ssetest.EventLogOptions{Open: inMemory().Open})
}

// TestEventLog accepts a log that does everything that EventLog and the options allow:
// it leaves out numbers, exceeds its retention rules by 40 %, reports Lost too often,
// and stores no keys.
func TestEventLogAcceptsLooseLog(t *testing.T) {
	opts := breakWith(inMemory(), func(b *broken) {
		leaveOutNumbers(b)
		reportLostBroadly(b)
		withoutKeys(b)
	})
	opts.Keys = false
	open := opts.Open
	opts.Open = func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
		for i := range setup.Retention {
			rule := &setup.Retention[i]
			rule.Entries = rule.Entries * 14 / 10
			rule.Bytes = rule.Bytes * 14 / 10
			rule.Age = rule.Age * 14 / 10
		}
		return open(t, setup)
	}
	opts.Slack = 0.5
	opts.ExactLost, opts.Gapless, opts.Contiguous = false, false, false
	ssetest.TestEventLog(t, opts)
}

func TestEventLogListsOmittedCases(t *testing.T) {
	if omitted := ssetest.OmittedCases((&files{}).options()); len(omitted) > 0 {
		t.Errorf("got %q omitted for a log with all capabilities, want none", omitted)
	}
	omitted := ssetest.OmittedCases(ssetest.EventLogOptions{ByAge: true})
	for _, want := range []string{"reopen/lost (Reopen)", "retention/pattern (ByPattern)"} {
		if !slices.Contains(omitted, want) {
			t.Errorf("got %q omitted, want also %q", omitted, want)
		}
	}
	if slices.ContainsFunc(omitted, func(s string) bool { return strings.Contains(s, "ByAge") }) {
		t.Errorf("got %q omitted, want no case omitted because of ByAge", omitted)
	}
}

// Under a rule with Bytes, a log may use up to half of Bytes for its overhead, but must
// not store more than Bytes.
func TestEventLogRetentionBytes(t *testing.T) {
	for _, test := range []struct {
		percent int64 // of Bytes, that the log uses for entries
		fails   bool
	}{{45, true}, {55, false}, {100, false}, {110, true}} {
		synctest.Test(t, func(t *testing.T) {
			opts := inMemory()
			open := opts.Open
			opts.Open = func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
				for i := range setup.Retention {
					setup.Retention[i].Bytes = setup.Retention[i].Bytes * test.percent / 100
				}
				return open(t, setup)
			}
			failing := ssetest.FailingCases(t, opts, "retention/bytes")
			if fails := len(failing) > 0; fails != test.fails {
				t.Errorf("%d %%: got failures %v, want any: %t", test.percent, failing, test.fails)
			}
		})
	}
}

// inMemory returns the options of a log in memory with all capabilities.
func inMemory() ssetest.EventLogOptions {
	return ssetest.EventLogOptions{
		Open: func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
			return reflog.New(options(setup))
		},
		Fail:    func(log sse.EventLog, n int) { log.(*reflog.Log).FailAfter(n) },
		Trim:    func(t testing.TB, log sse.EventLog) { log.(*reflog.Log).Trim() },
		ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
		ExactLost: true, Gapless: true, Contiguous: true, Keys: true,
		Bubble: true,
	}
}

func options(setup ssetest.EventLogSetup) *reflog.Options {
	opts := &reflog.Options{Now: setup.Now}
	for _, rule := range setup.Retention {
		opts.Retention = append(opts.Retention, reflog.Retention(rule))
	}
	return opts
}

// files opens logs in files. Reopen and Lose work only for the log that was opened
// last.
type files struct {
	path string
	opts *reflog.Options
	log  *reflog.Log

	// tamper, if not nil, changes the lines of the file before Reopen opens it.
	tamper func(lines [][]byte) [][]byte
}

func (f *files) options() ssetest.EventLogOptions {
	opts := inMemory()
	opts.Open = func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
		f.path = filepath.Join(t.TempDir(), "log")
		f.opts = options(setup)
		return f.open(t)
	}
	opts.Reopen = func(t testing.TB, log sse.EventLog) sse.EventLog {
		if f.tamper != nil {
			f.rewrite(t, f.tamper)
		}
		return f.open(t)
	}
	opts.Lose = func(t testing.TB, log sse.EventLog, n int) sse.EventLog {
		f.rewrite(t, func(lines [][]byte) [][]byte { return lines[:len(lines)-n] })
		return f.open(t)
	}
	return opts
}

// open opens the file. It does not close the log that was open before, because a
// process that is killed does not close its log either.
func (f *files) open(t testing.TB) *reflog.Log {
	log, err := reflog.Open(f.path, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	f.log = log
	return log
}

func (f *files) rewrite(t testing.TB, change func(lines [][]byte) [][]byte) {
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	text = bytes.Join(change(lines[:len(lines)-1]), nil)
	if err := os.WriteFile(f.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
