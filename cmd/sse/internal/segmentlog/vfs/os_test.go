package vfs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// lockVariable names the file that TestLockOtherProcess locks in a second process.
const lockVariable = "VFS_TEST_LOCK"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockVariable); name != "" {
		if _, err := vfs.OS.Lock(name); errors.Is(err, syscall.EAGAIN) {
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOSFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	ok(t, vfs.OS.MkdirAll(dir))
	ok(t, vfs.OS.MkdirAll(dir))
	name := filepath.Join(dir, "one")
	f, err := vfs.OS.Create(name)
	ok(t, err)
	_, err = f.WriteAt([]byte("content"), 2)
	ok(t, err)
	ok(t, f.Truncate(5))
	ok(t, f.Sync())
	size, err := f.Size()
	if size != 5 || err != nil {
		t.Errorf("Size() = %d, %v; want 5", size, err)
	}
	ok(t, f.Close())
	if err := f.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Sync of a closed file returned %v", err)
	}
	f, err = vfs.OS.OpenReadWrite(name)
	ok(t, err)
	ok(t, f.Close())
	if got := read(t, name); got != "\x00\x00con" {
		t.Errorf("the file contains %q", got)
	}
	f, err = vfs.OS.Open(name)
	ok(t, err)
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("WriteAt succeeded in a file that is open for reading")
	}
	ok(t, f.Close())
	f, err = vfs.OS.Create(name)
	ok(t, err)
	ok(t, f.Close())
	if got := read(t, name); got != "" {
		t.Errorf("after Create, the file contains %q", got)
	}
}

func TestOSDirectory(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"c", "a", "b"} {
		f, err := vfs.OS.OpenReadWrite(path(name))
		ok(t, err)
		_, err = f.WriteAt([]byte(name), 0)
		ok(t, err)
		ok(t, f.Close())
	}
	ok(t, vfs.OS.Rename(path("c"), path("a")))
	ok(t, vfs.OS.Remove(path("b")))
	ok(t, vfs.OS.SyncDir(dir))
	names, err := vfs.OS.List(dir)
	if !slices.Equal(names, []string{"a"}) || err != nil {
		t.Errorf("List() = %q, %v", names, err)
	}
	if got := read(t, path("a")); got != "c" {
		t.Errorf("the renamed file contains %q", got)
	}
	if free, err := vfs.OS.Free(dir); err != nil && !errors.Is(err, errors.ErrUnsupported) ||
		err == nil && free == 0 {
		t.Errorf("Free() = %d, %v", free, err)
	}
	if runtime.GOOS != "windows" {
		if info, _ := os.Stat(path("a")); info.Mode().Perm() != 0o600 {
			t.Errorf("the file has mode %v", info.Mode())
		}
	}
}

func TestOSMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	name := filepath.Join(dir, "file")
	calls := map[string]func() error{
		"Create":        func() error { _, err := vfs.OS.Create(name); return err },
		"Open":          func() error { _, err := vfs.OS.Open(name); return err },
		"OpenReadWrite": func() error { _, err := vfs.OS.OpenReadWrite(name); return err },
		"Rename":        func() error { return vfs.OS.Rename(name, name+"2") },
		"Remove":        func() error { return vfs.OS.Remove(name) },
		"List":          func() error { _, err := vfs.OS.List(dir); return err },
		"SyncDir":       func() error { return vfs.OS.SyncDir(dir) },
		"Lock":          func() error { _, err := vfs.OS.Lock(name); return err },
	}
	for call, f := range calls {
		if err := f(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s returned %v", call, err)
		}
	}
	if born := vfs.OS.Born(name); born != 0 {
		t.Errorf("Born() = %d", born)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	for range 2 { // a released lock can be acquired again
		lock, err := vfs.OS.Lock(name)
		ok(t, err)
		for _, same := range []string{name, dir + "/./lock"} {
			if _, err := vfs.OS.Lock(same); !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("a second Lock of %s returned %v", same, err)
			}
		}
		other, err := vfs.OS.Lock(name + "2")
		ok(t, err)
		ok(t, other.Close())
		if !lockedForOthers(t, name) {
			t.Error("another process locked the file, too")
		}
		ok(t, lock.Close())
		if lockedForOthers(t, name) {
			t.Error("another process could not lock the file after Close")
		}
	}
}

// lockedForOthers reports whether another process fails to lock a file.
func lockedForOthers(t *testing.T, name string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockVariable+"="+name)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		return true
	}
	ok(t, err)
	return false
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	f, err := vfs.OS.Open(name)
	ok(t, err)
	defer f.Close()
	size, err := f.Size()
	ok(t, err)
	p := make([]byte, size+1)
	n, err := f.ReadAt(p, 0)
	if int64(n) != size || err != io.EOF {
		t.Fatalf("ReadAt returned %d, %v; want %d, EOF", n, err, size)
	}
	return string(p[:n])
}
