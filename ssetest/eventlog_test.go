package ssetest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
	"github.com/sse-go/sse/ssetest"
)

func TestEventLogInMemory(t *testing.T) {
	ssetest.TestEventLog(t, inMemory())
}

func TestEventLogInAFile(t *testing.T) {
	ssetest.TestEventLog(t, (&files{}).options())
}

// Logs on real disks are tested in real time.
func TestEventLogWithoutABubble(t *testing.T) {
	opts := inMemory()
	opts.Bubble = false
	ssetest.TestEventLog(t, opts)
}

// A log that can do nothing more than it must is tested, too.
func TestEventLogWithoutCapabilities(t *testing.T) {
	ssetest.TestEventLog(t, ssetest.EventLogOptions{Open: inMemory().Open})
}

// A log that is right, but keeps other promises than it might.
func TestEventLogTolerates(t *testing.T) {
	opts := breakWith(inMemory(), func(b *broken) {
		gappy(b)
		vague(b)
	})
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

func TestEventLogSaysWhatItLeavesOut(t *testing.T) {
	if left := ssetest.LeftOut((&files{}).options()); len(left) > 0 {
		t.Errorf("got %v left out for a log that can do everything", left)
	}
	left := ssetest.LeftOut(ssetest.EventLogOptions{ByAge: true})
	for _, want := range []string{"reopen/lost (Reopen)", "retention/pattern (ByPattern)"} {
		if !slices.Contains(left, want) {
			t.Errorf("got %q left out, want also %q", left, want)
		}
	}
	if slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "ByAge") }) {
		t.Errorf("got %q left out, want nothing for want of ByAge", left)
	}
}

// inMemory are the options of a log in memory that can do everything.
func inMemory() ssetest.EventLogOptions {
	return ssetest.EventLogOptions{
		Open: func(t testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
			return reflog.New(options(setup))
		},
		Fail:    func(log sse.EventLog, n int) { log.(*reflog.Log).FailAfter(n) },
		Trim:    func(t testing.TB, log sse.EventLog) { log.(*reflog.Log).Trim() },
		ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
		ExactLost: true, Gapless: true, Contiguous: true,
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

// files opens logs in files. Only one is open at a time.
type files struct {
	path string
	opts *reflog.Options
	log  *reflog.Log

	// tamper, if not nil, changes what is in the file before it is opened again.
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

// open does not close the log that was open before: a killed process does not.
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
