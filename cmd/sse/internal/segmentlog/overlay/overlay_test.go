package overlay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/overlay"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
	"github.com/sse-go/sse/internal/testrand"
)

const dir = "/dir"

var names = []string{"a", "b", "c", "copied"}

// newBase returns a directory with two files that are longer than a page.
func newBase(rng *rand.Rand) *faultfs.FS {
	base := faultfs.New(faultfs.Options{})
	for _, name := range []string{"a", "b", "copied"} {
		content := make([]byte, 3000+rng.IntN(20000))
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		base.WriteFile(filepath.Join(dir, name), content)
	}
	return base
}

// step does a random operation, and returns its result.
func step(fsys vfs.FS, seed uint64) string {
	rng := testrand.WithSeed(seed)
	name := func() string { return filepath.Join(dir, names[rng.IntN(len(names))]) }
	switch rng.IntN(8) {
	case 0:
		return fmt.Sprint(fsys.Rename(name(), name()) == nil)
	case 1:
		return fmt.Sprint(fsys.Remove(name()) == nil)
	case 2:
		f, err := fsys.Create(name())
		return fmt.Sprint(err == nil && f.Close() == nil)
	}
	open := fsys.OpenReadWrite
	if rng.IntN(3) == 0 {
		open = fsys.Open
	}
	f, err := open(name())
	if err != nil {
		return "missing"
	}
	p := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(9000))
	off, size := rng.Int64N(25000), rng.Int64N(25000)
	var read []byte
	if rng.IntN(2) == 0 {
		_, err = f.WriteAt(p, off)
	} else {
		err = f.Truncate(size)
	}
	end, err2 := f.Size()
	read = make([]byte, rng.IntN(9000))
	n, err3 := f.ReadAt(read, off)
	return fmt.Sprint(err == nil, end, err2, n, err3, read[:n], f.Close())
}

// contents returns the files of a file system.
func contents(t *testing.T, fsys vfs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	list, err := fsys.List(dir)
	for _, name := range list {
		var f vfs.File
		if f, err = fsys.Open(filepath.Join(dir, name)); err != nil {
			break
		}
		size, _ := f.Size()
		p := make([]byte, size)
		if n, _ := f.ReadAt(p, 0); int64(n) != size {
			t.Errorf("%s: %d bytes of %d", name, n, size)
		}
		all[name] = string(p)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSameAsBase does the same operations on a view and on a copy of its base.
func TestSameAsBase(t *testing.T) {
	rng := testrand.New(t)
	for range 200 {
		base := newBase(rng)
		double := base.Kill()
		view, err := overlay.New(base, dir, overlay.Options{Copy: []string{"copied"}})
		if err != nil {
			t.Fatal(err)
		}
		before := contents(t, base)
		if got := contents(t, view); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Fatal("a new view is not the same as its base")
		}
		for range rng.IntN(30) {
			seed := rng.Uint64()
			if got, want := step(view, seed), step(double, seed); got != want {
				t.Fatalf("seed %d: the view returned %.100s, the file system %.100s", seed, got, want)
			}
		}
		after := contents(t, double)
		if fmt.Sprint(contents(t, view)) != fmt.Sprint(after) {
			t.Fatal("the view and the file system differ")
		}
		if fmt.Sprint(contents(t, base)) != fmt.Sprint(before) {
			t.Fatal("the base has changed")
		}
		checkChanges(t, view, before, after)
		if err := view.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkChanges compares the changes of a view with the files.
func checkChanges(t *testing.T, view *overlay.FS, before, after map[string]string) {
	t.Helper()
	var want []overlay.Change
	for _, name := range names {
		was, old := before[name]
		now, stays := after[name]
		switch {
		case old && !stays:
			want = append(want, overlay.Change{Name: name, Kind: overlay.Removed})
		case !old && stays:
			want = append(want, overlay.Change{Name: name, Kind: overlay.Created})
		case now == was:
		case len(now) < len(was) && was[:len(now)] == now:
			want = append(want, overlay.Change{Name: name, Kind: overlay.Cut, Size: int64(len(now))})
		default:
			want = append(want, overlay.Change{Name: name, Kind: overlay.Changed})
		}
	}
	got, err := view.Changes()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("Changes returned %v, %v, want %v", got, err, want)
	}
}

// TestStable changes the base after New.
func TestStable(t *testing.T) {
	base := newBase(testrand.New(t))
	view, err := overlay.New(base, dir, overlay.Options{Copy: []string{"copied"}})
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, base)
	for _, change := range []error{
		base.Remove(dir + "/a"), base.Rename(dir+"/b", dir+"/a"), base.Remove(dir + "/copied"),
	} {
		if change != nil {
			t.Fatal(change)
		}
	}
	f, err := base.OpenReadWrite(dir + "/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("more"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(contents(t, view)) != fmt.Sprint(before) {
		t.Error("the view has changed with its base")
	}
}
