package faultfs_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
	"github.com/sse-go/sse/internal/testrand"
)

// A program does random operations on both file systems, so that it also uses missing
// names, closed files, and files that were removed or replaced while they were open.
func TestSameAsOS(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not rename or remove an open file")
	}
	rng := testrand.New(t)
	fake := faultfs.New(faultfs.Options{})
	disk := &program{fsys: vfs.OS, root: t.TempDir()}
	double := &program{fsys: fake, root: "root"}
	ok(t, fake.MkdirAll("root"))
	var log []string
	for range 1000 {
		op, seed := operations[rng.IntN(len(operations))], rng.Uint64()
		want := disk.run(op, seed)
		got := double.run(op, seed)
		log = append(log, fmt.Sprintf("%s: %s", op, want))
		if got != want {
			t.Fatalf("faultfs returned %q after\n%s", got, strings.Join(log, "\n"))
		}
	}
	if live, killed := contents(fake), contents(fake.Kill()); !maps.Equal(live, killed) {
		t.Errorf("after Kill, the files are %q; want %q", killed, live)
	}
}

// program is a program that uses a file system below root.
type program struct {
	fsys  vfs.FS
	root  string
	files []vfs.File
}

var operations = []string{
	"create", "open", "openrw", "openrw", "mkdir", "rename", "rename", "remove", "list",
	"write", "write", "write", "truncate", "read", "read", "size", "sync", "syncdir", "close",
}

// run does an operation and describes its result.
func (p *program) run(op string, seed uint64) string {
	rng := testrand.WithSeed(seed)
	names := []string{"a", "b", "c", "d/a", "d/b", "a/b", "d", "missing/a"}
	name := names[rng.IntN(len(names))]
	path := filepath.Join(p.root, filepath.FromSlash(name))
	switch op {
	case "create":
		return name + " " + p.keep(p.fsys.Create(path))
	case "open":
		if name == "d" {
			return name + " is a directory, which faultfs does not open"
		}
		return name + " " + p.keep(p.fsys.Open(path))
	case "openrw":
		return name + " " + p.keep(p.fsys.OpenReadWrite(path))
	case "mkdir":
		return class(p.fsys.MkdirAll(filepath.Join(p.root, "d")))
	case "rename":
		// faultfs renames only files, and only within a directory.
		from, to := names[rng.IntN(3)], names[rng.IntN(3)]
		return from + " " + to + " " + class(p.fsys.Rename(
			filepath.Join(p.root, from), filepath.Join(p.root, to)))
	case "remove":
		return name + " " + class(p.fsys.Remove(path))
	case "list":
		names, err := p.fsys.List(filepath.Dir(path))
		return fmt.Sprint(name, " ", names, " ", class(err))
	case "syncdir":
		dir := []string{"", "missing"}[rng.IntN(2)]
		return dir + " " + class(p.fsys.SyncDir(filepath.Join(p.root, dir)))
	}
	if len(p.files) == 0 {
		return "no file is open"
	}
	i := rng.IntN(len(p.files))
	return fmt.Sprint(i, " ", useFile(p.files[i], op, rng))
}

func useFile(f vfs.File, op string, rng *rand.Rand) string {
	offset, content := rng.Int64N(2000), make([]byte, rng.IntN(2000))
	switch op {
	case "write":
		for i := range content {
			content[i] = byte('a' + rng.IntN(26))
		}
		n, err := f.WriteAt(content, offset)
		return fmt.Sprint(offset, " ", n, " ", class(err))
	case "truncate":
		return fmt.Sprint(offset, " ", class(f.Truncate(offset)))
	case "read":
		for i := range content {
			content[i] = 0xff // ReadAt must overwrite it, also with zeros
		}
		n, err := f.ReadAt(content, offset)
		return fmt.Sprintf("%d %d %x %s", offset, n, sha256.Sum256(content[:n]), class(err))
	case "size":
		size, err := f.Size()
		return fmt.Sprint(size, " ", class(err))
	case "sync":
		return class(f.Sync())
	case "close":
		return class(f.Close())
	}
	panic(op)
}

// keep stores a file that was opened.
func (p *program) keep(f vfs.File, err error) string {
	if err == nil {
		p.files = append(p.files, f)
		if len(p.files) > 4 {
			p.files = p.files[1:]
		}
	}
	return class(err)
}

// class describes an error as callers can distinguish errors.
func class(err error) string {
	for _, target := range []error{nil, io.EOF, fs.ErrNotExist, fs.ErrExist, fs.ErrClosed,
		syscall.EISDIR, syscall.ENOTDIR} {
		if errors.Is(err, target) {
			return fmt.Sprint(target)
		}
	}
	if errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) {
		return "not writable" // the error depends on the call
	}
	return reflect.TypeOf(err).String() + ": " + err.Error()
}

func TestRenameOnlyFilesInDirectory(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	ok(t, fsys.MkdirAll("data/d"))
	put(t, fsys, "data/f", "o")
	tests := []struct {
		from, to string
		want     error
	}{
		{"data/f", "data/d/f", syscall.EXDEV},
		{"data/d", "data/e", syscall.EISDIR},
		{"data/f", "data/d", syscall.EISDIR},
		{"data/missing", "data/f", fs.ErrNotExist},
	}
	for _, test := range tests {
		var link *os.LinkError
		err := fsys.Rename(test.from, test.to)
		if !errors.Is(err, test.want) || !errors.As(err, &link) {
			t.Errorf("Rename(%q, %q) returned %v; want %v", test.from, test.to, err, test.want)
		}
	}
	equal(t, "files", fsys.Files(), "data/f")
}

func TestLock(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	lock, err := fsys.Lock("data/lock")
	ok(t, err)
	if _, err := fsys.Lock("/data/./lock"); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a second Lock returned %v", err)
	}
	other, err := fsys.Kill().Lock("data/lock")
	ok(t, err)
	ok(t, other.Close())
	ok(t, lock.Close())
	if err := lock.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a second Close returned %v", err)
	}
	lock, err = fsys.Lock("data/lock")
	ok(t, err)
	ok(t, lock.Close())
}

func TestBorn(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	put(t, fsys, "data/a", "a")
	put(t, fsys, "data/b", "b")
	a, b := fsys.Born("data/a"), fsys.Born("data/b")
	if a == 0 || b == 0 || a == b {
		t.Fatalf("the files were born at %d and %d", a, b)
	}
	ok(t, fsys.Rename("data/b", "data/c"))
	ok(t, fsys.SyncDir("data"))
	for name, f := range map[string]*faultfs.FS{
		"live": fsys, "Kill": fsys.Kill(), "Crash": fsys.Kill().Crash(testrand.New(t)),
	} {
		if f.Born("data/a") != a || f.Born("data/b") != 0 || f.Born("data/c") != b {
			t.Errorf("%s: the files were born at %d, %d and %d; want %d, 0 and %d", name,
				f.Born("data/a"), f.Born("data/b"), f.Born("data/c"), a, b)
		}
	}
	fsys = newFS(t, faultfs.Options{NoBirths: true})
	put(t, fsys, "data/a", "a")
	if born := fsys.Born("data/a"); born != 0 {
		t.Errorf("with NoBirths, Born() = %d", born)
	}
}
