package faultfs_test

import (
	"io"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// dir exists, and its name is stable, in each file system that newFS returns.
const dir = "data"

func newFS(t *testing.T, opts faultfs.Options) *faultfs.FS {
	t.Helper()
	fsys := faultfs.New(opts)
	ok(t, fsys.MkdirAll(dir))
	ok(t, fsys.SyncDir("."))
	return fsys
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a file for reading and writing; it creates a missing file.
func open(t *testing.T, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fsys.OpenReadWrite(name)
	ok(t, err)
	return f
}

func writeAt(t *testing.T, f vfs.File, content string, offset int64) {
	t.Helper()
	p := []byte(content)
	n, err := f.WriteAt(p, offset)
	clear(p) // the caller may use the buffer again
	if n != len(content) || err != nil {
		t.Fatalf("WriteAt returned %d, %v", n, err)
	}
}

// put writes a file that is stable, and returns it open.
func put(t *testing.T, fsys vfs.FS, name, content string) vfs.File {
	t.Helper()
	f := open(t, fsys, name)
	writeAt(t, f, content, 0)
	ok(t, f.Sync())
	ok(t, fsys.SyncDir(dir))
	return f
}

// read returns the content of an open file.
func read(t *testing.T, f vfs.File) string {
	t.Helper()
	size, err := f.Size()
	ok(t, err)
	p := make([]byte, size+1)
	n, err := f.ReadAt(p, 0)
	if int64(n) != size || err != io.EOF {
		t.Fatalf("ReadAt returned %d, %v; want %d, EOF", n, err, size)
	}
	return string(p[:n])
}

// contents returns the content of each file.
func contents(fsys *faultfs.FS) map[string]string {
	all := map[string]string{}
	for _, name := range fsys.Files() {
		all[name] = string(fsys.ReadFile(name))
	}
	return all
}
