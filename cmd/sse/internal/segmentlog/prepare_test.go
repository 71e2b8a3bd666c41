package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// opens is a file system that records which files are opened.
type opens struct {
	vfs.FS
	mu    sync.Mutex // guards the following
	names []string
}

func (o *opens) note(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = append(o.names, filepath.Base(name))
}

func (o *opens) Open(name string) (vfs.File, error) {
	o.note(name)
	return o.FS.Open(name)
}

func (o *opens) OpenReadWrite(name string) (vfs.File, error) {
	o.note(name)
	return o.FS.OpenReadWrite(name)
}

// take returns the names with a suffix, each once, and forgets all names.
func (o *opens) take(suffix string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := slices.DeleteFunc(o.names, func(name string) bool {
		return !strings.HasSuffix(name, suffix)
	})
	o.names = nil
	slices.Sort(names)
	return slices.Compact(names)
}

// fillKeyed appends entries with keys, and returns the names of the files with events.
func fillKeyed(t *testing.T, l *segmentlog.Log, disk *opens, from, to int) []string {
	t.Helper()
	for i := from; i < to; i++ {
		data := fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))
		_, err := l.Append(t.Context(), sse.AppendRequest{
			Entries: []sse.Entry{entry(data, "a")}, Key: data, Owner: "owner",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return segmentNames(t, disk)
}

func segmentNames(t *testing.T, disk *opens) []string {
	t.Helper()
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".events")
	})
}

// prepare calls Prepare.
func prepare(t *testing.T, dir string, opts *segmentlog.Options) *segmentlog.Prepared {
	t.Helper()
	p, err := segmentlog.Prepare(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPrepare prepares a log beside the Log that writes to it. Opening it must read only
// the segments that this Log has sealed since.
func TestPrepare(t *testing.T) {
	disk := &opens{FS: faultfs.New(faultfs.Options{})}
	opts := segmentlog.Options{FS: disk, SegmentSize: 2000, Reserve: -1, Logger: quiet}
	l := open(t, dir, opts)
	before := fillKeyed(t, l, disk, 0, 100)
	disk.take("")
	p := prepare(t, dir, &opts)
	if got := disk.take(".events"); !slices.Equal(got, before) || len(got) < 5 {
		t.Errorf("Prepare reads %q of %q", got, before)
	}
	after := fillKeyed(t, l, disk, 100, 140)
	if err := l.Delete(t.Context(), "b", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	disk.take("")
	l, err := p.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	disk.mu.Lock()
	read := slices.Clone(disk.names)
	disk.mu.Unlock()
	if got, want := disk.take(".events"), after[len(before)-1:]; !slices.Equal(got, want) {
		t.Errorf("Open reads %q, want %q", got, want)
	}
	for _, name := range read {
		if base, ok := strings.CutSuffix(name, ".keys"); ok && base+"-0.events" < after[len(before)-1] {
			t.Errorf("Open reads %q, which Prepare had read", name)
		}
	}
	if n := len(get(t, l, everything).Entries); n != 140 {
		t.Errorf("%d entries", n)
	}
	if n, err := l.Remembered(); n != 140 || err != nil {
		t.Errorf("%d keys, error %v", n, err)
	}
}

// TestPrepareStale opens prepared logs whose files have changed since.
func TestPrepareStale(t *testing.T) {
	newLog := func(t *testing.T, disk *opens, opts segmentlog.Options, text string) {
		t.Helper()
		l := open(t, dir, opts)
		for i := range 60 {
			put(t, l, entry(fmt.Sprintf("%s %d %s", text, i, strings.Repeat("x", 100)), "a"))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, disk *opens, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := disk.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, *opens, segmentlog.Options)
		want   int
		begins string
		lost   bool
	}{
		{"another log is there", func(t *testing.T, disk *opens, opts segmentlog.Options) {
			names, err := disk.List(dir)
			if err != nil {
				t.Fatal(err)
			}
			remove(t, disk, names...)
			newLog(t, disk, opts, "new")
		}, 60, "new", false},
		{"a segment is missing", func(t *testing.T, disk *opens, _ segmentlog.Options) {
			remove(t, disk, segmentNames(t, disk)[1])
		}, -1, "old", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := &opens{FS: faultfs.New(faultfs.Options{})}
			opts := segmentlog.Options{FS: disk, SegmentSize: 2000, Reserve: -1, Logger: quiet}
			newLog(t, disk, opts, "old")
			p := prepare(t, dir, &opts)
			c.change(t, disk, opts)
			l, err := p.Open(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			page := get(t, l, everything)
			if n := len(page.Entries); n != c.want && (c.want >= 0 || n == 0 || n >= 60) {
				t.Errorf("%d entries", n)
			}
			for i := range page.Entries {
				if data := page.Entries[i].Event.Data; !strings.HasPrefix(data, c.begins) {
					t.Errorf("entry %q", data)
				}
			}
			if lost := page.Lost != (sse.Position{}); lost != c.lost {
				t.Errorf("lost: %t", lost)
			}
		})
	}
}

// TestPrepareNothing prepares a directory that does not exist, and opens it later.
func TestPrepareNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	opts := segmentlog.Options{Reserve: -1}
	p := prepare(t, dir, &opts)
	if names, err := vfs.OS.List(dir); err == nil {
		t.Errorf("Prepare has created %q", names)
	}
	l, err := p.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put(t, l, entry("1", "a"))
	if _, err := segmentlog.Prepare(dir, &segmentlog.Options{Keys: -1}); err == nil {
		t.Error("a negative option is accepted")
	}
}

// TestPreparedLocked waits for a lock until the context is done, and tries again.
func TestPreparedLocked(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, segmentlog.Options{Reserve: -1})
	p := prepare(t, dir, &segmentlog.Options{Reserve: -1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var locked *segmentlog.LockedError
	if _, err := p.Open(ctx, 1<<62); !errors.As(err, &locked) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := p.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
