package faultfs_test

import (
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
)

func TestDamage(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	put(t, fsys, "data/b", "bbb")
	put(t, fsys, "data/a", "aaa")
	put(t, fsys, "data/c", "ccc")
	calls := fsys.Calls()
	equal(t, "files", fsys.Files(), "data/a", "data/b", "data/c")
	fsys.Flip("data/a", 1, 1) // a is 0x61, c is 0x63
	fsys.Cut("data/b", 1)
	fsys.Delete("data/c")
	fsys.WriteFile("new/d", []byte("ddd"))
	for _, f := range []*faultfs.FS{fsys, fsys.Kill(), fsys.CrashClean()} {
		got := contents(f)
		if len(got) != 3 || got["data/a"] != "aca" || got["data/b"] != "b" || got["new/d"] != "ddd" {
			t.Errorf("the files are %q", got)
		}
	}
	if fsys.Calls() != calls {
		t.Error("the damage is counted as calls")
	}
	defer func() {
		if recover() == nil {
			t.Error("Flip of a missing file did not panic")
		}
	}()
	fsys.Flip("data/missing", 0, 0)
}

func TestSnapshot(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	a := put(t, fsys, "data/a", "a")
	b := open(t, fsys, "data/b")
	writeAt(t, b, "b", 0)
	put(t, fsys, "data/c", "c")
	ok(t, fsys.MkdirAll("data/d"))
	put(t, fsys, "data/d/e", "e")
	var seen []string
	snapshot := fsys.Snapshot(dir, func(name string) {
		seen = append(seen, name)
		if name == "data/b" {
			writeAt(t, a, "2", 1)
			writeAt(t, b, "2", 1)
			ok(t, fsys.Remove("data/c"))
			open(t, fsys, "data/d/f")
			open(t, fsys, "data/new")
		}
	})
	equal(t, "files before which Snapshot called", seen,
		"data/a", "data/b", "data/c", "data/d/e", "data/d/f")
	equal(t, "files", []string{names(snapshot.CrashClean())}, "a=a b=b d/e=e d/f= ")
	if got := contents(snapshot); got["data/a"] != "a" || got["data/b"] != "b2" {
		t.Errorf("the copies are %q", got)
	}
	if fsys.Born("data/a") == snapshot.Born("data/a") {
		t.Error("the copy has the birth of the original file")
	}
}
