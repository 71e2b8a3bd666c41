package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
)

const errDisk = syscall.EIO

// mutate does each mutating call once. It returns the errors.
func mutate(fsys *faultfs.FS, f interface {
	WriteAt([]byte, int64) (int, error)
	Truncate(int64) error
	Sync() error
}) (errs []error) {
	do := func(err error) { errs = append(errs, err) }
	_, err := f.WriteAt([]byte("write"), 0)
	do(err)
	do(f.Truncate(3))
	do(f.Sync())
	_, err = fsys.Create("data/a")
	do(err)
	_, err = fsys.OpenReadWrite("data/b")
	do(err)
	do(fsys.Rename("data/f", "data/c"))
	do(fsys.Remove("data/old"))
	do(fsys.SyncDir(dir))
	do(fsys.MkdirAll("data/d"))
	_, err = fsys.Lock("data/lock")
	do(err)
	return errs
}

func TestFailAt(t *testing.T) {
	for n := range 10 {
		fsys := newFS(t, faultfs.Options{})
		put(t, fsys, "data/old", "old")
		f := put(t, fsys, "data/f", "file")
		calls := fsys.Calls()
		fsys.FailAt(n+1, errDisk)
		for i, err := range mutate(fsys, f) {
			var path *fs.PathError
			failed := errors.Is(err, errDisk) && errors.As(err, &path)
			if failed != (i == n) || !failed && err != nil {
				t.Errorf("FailAt(%d): call %d returned %v", n+1, i+1, err)
			}
		}
		if got := fsys.Calls() - calls; got != 10 {
			t.Errorf("Calls() has grown by %d; want 10", got)
		}
		if got, want := names(fsys), afterFailure(n); n > 0 && got != want {
			t.Errorf("FailAt(%d): the files are %q; want %q", n+1, got, want)
		}
		_, err := fsys.List("data/d")
		if exists := err == nil; exists != (n != 8) {
			t.Errorf("FailAt(%d): data/d exists: %t", n+1, exists)
		}
		wantSize := int64(3)
		if n == 1 {
			wantSize = 5
		}
		if got, _ := f.Size(); got != wantSize {
			t.Errorf("FailAt(%d): the size is %d; want %d", n+1, got, wantSize)
		}
	}
}

// afterFailure returns the names after mutate if call n has failed, counted from 0.
func afterFailure(n int) string {
	switch n {
	case 3:
		return "b=  c=w lock= "
	case 4:
		return "a=  c=w lock= "
	case 5:
		return "a=  b=  f=w lock= "
	case 6:
		return "a=  b=  c=w lock=  old=o"
	case 9:
		return "a=  b=  c=w"
	}
	return "a=  b=  c=w lock= "
}

func TestReadsAreNotCalls(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", "file")
	fsys.FailAt(1, errDisk)
	calls := fsys.Calls()
	read(t, f)
	for _, open := range []string{"data/f", "data/f"} {
		_, err := fsys.Open(open)
		ok(t, err)
		_, err = fsys.OpenReadWrite(open)
		ok(t, err)
		_, err = fsys.List(dir)
		ok(t, err)
	}
	ok(t, fsys.MkdirAll(dir))
	if got := fsys.Calls() - calls; got != 0 {
		t.Errorf("Calls() has grown by %d", got)
	}
}

// A write that fails writes some of its bytes, but not all.
func TestShortWrite(t *testing.T) {
	lengths := map[int]bool{}
	for seed := range uint64(50) {
		fsys := newFS(t, faultfs.Options{Seed: seed})
		f := put(t, fsys, "data/f", "")
		before := fsys.BytesWritten()
		fsys.FailAt(1, syscall.ENOSPC)
		n, err := f.WriteAt([]byte("abcd"), 0)
		if !errors.Is(err, syscall.ENOSPC) || read(t, f) != "abcd"[:n] || n == 4 {
			t.Fatalf("WriteAt returned %d, %v; the file contains %q", n, err, read(t, f))
		}
		if got := fsys.BytesWritten() - before; got != int64(n) {
			t.Errorf("BytesWritten() has grown by %d; want %d", got, n)
		}
		lengths[n] = true
	}
	if len(lengths) != 4 {
		t.Errorf("the writes had the lengths %v; want 0 to 3", lengths)
	}
}

// A failed Sync loses the data: a later Sync succeeds, but makes only newer data
// stable.
func TestFailedSync(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", "aaaa")
	writeAt(t, f, "bb", 0)
	fsys.FailAt(1, errDisk)
	if err := f.Sync(); !errors.Is(err, errDisk) {
		t.Fatalf("Sync returned %v", err)
	}
	writeAt(t, f, "c", 3)
	ok(t, f.Sync())
	if got := read(t, f); got != "bbac" {
		t.Errorf("readers see %q", got)
	}
	if got := content(fsys.CrashClean()); got != "aaac" {
		t.Errorf("after CrashClean, the file contains %q", got)
	}
	equal(t, "contents", crashes(t, fsys, content), "aaac", "bbac")
	writeAt(t, f, "d", 0)
	ok(t, f.Sync())
	equal(t, "contents", crashes(t, fsys, content), "daac", "dbac")
	if got := content(fsys.Kill()); got != "dbac" {
		t.Errorf("after Kill, the file contains %q", got)
	}
}

func TestFailedSyncDir(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	put(t, fsys, "data/f", "o")
	ok(t, fsys.Rename("data/f", "data/g"))
	fsys.FailAt(1, errDisk)
	if err := fsys.SyncDir(dir); !errors.Is(err, errDisk) {
		t.Fatalf("SyncDir returned %v", err)
	}
	ok(t, fsys.SyncDir(dir))
	equal(t, "files", crashes(t, fsys, names), "f=o", "g=o")
}

func TestLimit(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", strings.Repeat("x", 60))
	free := func(want uint64) {
		t.Helper()
		if got, err := fsys.Free(dir); got != want || err != nil {
			t.Errorf("Free() = %d, %v; want %d", got, err, want)
		}
	}
	fsys.Limit(100)
	free(40)
	g := open(t, fsys, "data/g")
	n, err := g.WriteAt(make([]byte, 50), 0)
	if n != 40 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt returned %d, %v; want 40 and ENOSPC", n, err)
	}
	free(0)
	if n, err := g.WriteAt([]byte("x"), 100); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt after a hole returned %d, %v", n, err)
	}
	if err := g.Truncate(41); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Truncate returned %v", err)
	}
	writeAt(t, g, "overwrite", 0)
	ok(t, g.Truncate(10))
	free(30)
	ok(t, fsys.Remove("data/f"))
	free(30) // the file is open
	ok(t, f.Close())
	free(90)
	writeAt(t, g, strings.Repeat("x", 100), 0)
	if crashed := fsys.Kill(); names(crashed) != "g=x" {
		t.Error("Kill lost a file")
	} else if free, _ := crashed.Free(dir); free != 0 {
		t.Errorf("after Kill, Free() = %d", free)
	}
	fsys.Limit(-1)
	writeAt(t, g, strings.Repeat("x", 1000), 0)
}

func TestHook(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", "old")
	var seen, before []string
	first := fsys.Calls() + 1
	fsys.Hook(func(call int, op, name string) {
		seen = append(seen, fmt.Sprint(call-first, " ", op, " ", name))
		before = append(before, names(fsys.Kill()))
	})
	writeAt(t, f, "new", 0)
	ok(t, fsys.Remove("data/f"))
	fsys.Hook(nil)
	ok(t, fsys.SyncDir(dir))
	equal(t, "calls", seen, "0 write data/f", "1 remove data/f")
	equal(t, "files before the calls", before, "f=o", "f=n")
}

// The race detector checks that all methods are safe for concurrent use.
func TestConcurrentUse(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	fsys.Limit(1 << 20)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			name := fmt.Sprint("data/", i)
			for range 50 {
				f := open(t, fsys, name)
				writeAt(t, f, name, 0)
				f.Sync()
				fsys.SyncDir(dir)
				fsys.List(dir)
				fsys.Free(dir)
				fsys.Born(name)
				fsys.Snapshot(dir, nil)
				if i == 0 {
					fsys.FailAt(1000, errDisk)
					fsys.Hook(func(int, string, string) {})
					fsys.CrashClean()
				}
				f.Close()
			}
		})
	}
	group.Wait()
	want := []string{"data/0", "data/1", "data/2", "data/3"}
	if got := fsys.Files(); !slices.Equal(got, want) {
		t.Errorf("the files are %q", got)
	}
}
