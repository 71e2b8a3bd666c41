package disklog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

func once(key, body string) disklog.Once {
	return disklog.Once{Owner: "alice", Key: key, Digest: sha256.Sum256([]byte(body))}
}

// clock is a clock to set.
type clock struct{ nano atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nano.Load()) }
func (c *clock) advance(d time.Duration) { c.nano.Add(int64(d)) }

func TestAppendOnce(t *testing.T) {
	disk := vfs.NewCrashableMem()
	now := &clock{}
	now.advance(time.Hour)
	opts := disklog.Options{FS: disk, Reserve: -1, Now: now.now, KeyWindow: time.Hour}
	l := open(t, dir, opts)
	first, before, err := l.AppendOnce(t.Context(), once("k", "1"), entry("1", "a"), entry("2", "b"))
	if err != nil || before || len(first) != 2 {
		t.Fatal(first, before, err)
	}
	again := func(what string, l *disklog.Log) {
		t.Helper()
		got, before, err := l.AppendOnce(t.Context(), once("k", "1"), entry("1", "a"), entry("2", "b"))
		if err != nil || !before || !slices.Equal(got, first) {
			t.Errorf("%s: %v %v %v, want %v", what, got, before, err, first)
		}
		_, _, err = l.AppendOnce(t.Context(), once("k", "2"), entry("3", "a"))
		var other *disklog.KeyError
		if !errors.As(err, &other) || other.Once.Key != "k" {
			t.Errorf("%s, another body: %v", what, err)
		}
		if n := len(get(t, l, everything).Entries); n != 2 {
			t.Errorf("%s: %d entries", what, n)
		}
	}
	again("at once", l)

	// A crash loses nothing of it.
	opts.FS = disk.CrashClone(vfs.CrashCloneCfg{})
	l = open(t, dir, opts)
	again("after a crash", l)

	// Another owner's key is another key.
	other := once("k", "1")
	other.Owner = "bob"
	if _, before, err := l.AppendOnce(t.Context(), other, entry("bob's", "a")); before || err != nil {
		t.Error(before, err)
	}
	now.advance(time.Hour)
	if err := l.Trim(); err != nil {
		t.Error(err)
	}
	if n := l.Remembered(); n != 0 {
		t.Errorf("%d keys are remembered", n)
	}
	if _, before, err := l.AppendOnce(t.Context(), once("k", "2"), entry("new", "a")); before || err != nil {
		t.Error("after the window:", before, err)
	}
}

// TestAppendOnceExpired uses a key again that is too old, but not forgotten yet.
func TestAppendOnceExpired(t *testing.T) {
	now := &clock{}
	l := open(t, dir, disklog.Options{
		FS: vfs.NewMem(), Reserve: -1, Now: now.now, KeyWindow: time.Hour,
	})
	for i := range 3 {
		key := once("k", fmt.Sprint(i))
		if _, before, err := l.AppendOnce(t.Context(), key, entry("1", "a")); before || err != nil {
			t.Fatal(before, err)
		}
		now.advance(40 * time.Minute)
		if _, before, err := l.AppendOnce(t.Context(), key, entry("1", "a")); !before || err != nil {
			t.Fatal(before, err)
		}
		now.advance(30 * time.Minute)
	}
	if err := l.Trim(); err != nil || l.Remembered() != 0 {
		t.Error(l.Remembered(), err)
	}
}

// TestAppendOnceConcurrently retries before there is an answer.
func TestAppendOnceConcurrently(t *testing.T) {
	var said bytes.Buffer
	l := open(t, dir, disklog.Options{
		FS: vfs.NewMem(), Reserve: -1, Keys: 10, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	const keys, tries = 100, 10
	var got [keys][tries][]sse.Position
	var firsts atomic.Int64
	var all sync.WaitGroup
	for k := range keys {
		for i := range tries {
			all.Go(func() {
				key := once(fmt.Sprint(k), "body")
				p, before, err := l.AppendOnce(t.Context(), key, entry("x", "a"))
				if err != nil {
					t.Error(err)
				}
				if !before {
					firsts.Add(1)
				}
				got[k][i] = p
			})
		}
		all.Wait() // or the bound would forget a key before it is tried again
	}
	if n := firsts.Load(); n != keys {
		t.Errorf("%d were appended, want %d", n, keys)
	}
	for k := range got {
		for i := range got[k] {
			if !slices.Equal(got[k][i], got[k][0]) {
				t.Errorf("key %d: %v and %v", k, got[k][i], got[k][0])
			}
		}
	}
	if err := l.Trim(); err != nil {
		t.Error(err)
	}
	if n := l.Remembered(); n != 10 {
		t.Errorf("%d keys are remembered, want 10", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "access key alice used more than 10 idempotency keys in 24h0m0s"); n != 1 {
		t.Errorf("said %q, want one report", said.String())
	}
}

// TestAppendOnceFails lets the first of two fail, so that the second must do it.
func TestAppendOnceFails(t *testing.T) {
	disk := &disk{MemFS: vfs.NewMem()}
	l := open(t, dir, disklog.Options{FS: disk, Reserve: -1})
	disk.fullNext.Store(true)
	if _, _, err := l.AppendOnce(t.Context(), once("k", "1"), entry("1", "a")); err == nil {
		t.Error("a full disk keeps it")
	}
	if _, before, err := l.AppendOnce(t.Context(), once("k", "1"), entry("1", "a")); before || err != nil {
		t.Error(before, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.AppendOnce(ctx, once("l", "1"), entry("1", "a")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, before, err := l.AppendOnce(t.Context(), once("l", "1"), entry("1", "a")); before || err != nil {
		t.Error(before, err)
	}
}

// TestAppendOnceOwners lets one owner have too many keys: those of the others stay.
func TestAppendOnceOwners(t *testing.T) {
	var said bytes.Buffer
	disk := vfs.NewCrashableMem()
	opts := disklog.Options{
		FS: disk, Reserve: -1, Keys: 10, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	}
	l := open(t, dir, opts)
	check := func(owner, key string, want bool) {
		t.Helper()
		o := once(key, "body")
		o.Owner = owner
		if _, before, err := l.AppendOnce(t.Context(), o, entry("x", "a")); before != want || err != nil {
			t.Errorf("%s, %s: %t, %v, want %t", owner, key, before, err, want)
		}
	}
	for round := range 3 {
		check("bob", "order-1", round > 0)
		check("", "order-1", round > 0)
		for i := range 25 {
			check("alice", fmt.Sprint(round, " ", i), false)
		}
		if err := l.Trim(); err != nil {
			t.Fatal(err)
		}
		if n := l.Remembered(); n != 12 {
			t.Errorf("%d keys are remembered, want 12", n)
		}
		check("alice", fmt.Sprint(round, " 24"), true)
		check("alice", fmt.Sprint(round, " 15"), true)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, opts)
	}
	if strings.Contains(said.String(), "bob") ||
		strings.Count(said.String(), "access key alice used more than 10") != 3 { // once in each process
		t.Errorf("said %q", said.String())
	}
}
