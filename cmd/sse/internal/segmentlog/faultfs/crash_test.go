package faultfs_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// crashes returns the different results of many power failures: describe returns the
// part of a file system that a test compares.
func crashes(t *testing.T, fsys *faultfs.FS, describe func(*faultfs.FS) string) []string {
	t.Helper()
	rng := testrand.New(t)
	results := map[string]bool{}
	for range 3000 {
		results[describe(fsys.Crash(rng))] = true
	}
	return slices.Sorted(maps.Keys(results))
}

func content(fsys *faultfs.FS) string { return string(fsys.ReadFile("data/f")) }

func size(fsys *faultfs.FS) string { return fmt.Sprintf("%5d", len(content(fsys))) }

// names returns the names of the files, each with the first byte of its content.
func names(fsys *faultfs.FS) string {
	var names []string
	for name, content := range contents(fsys) {
		names = append(names, strings.TrimPrefix(name, "data/")+"="+(content + " ")[:1])
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q\nwant %q", what, got, want)
	}
}

func TestCrashTearsWrites(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", strings.Repeat("o", 2048))
	writeAt(t, f, strings.Repeat("n", 1200), 412)
	parts := [][2]int{{412, 512}, {512, 1024}, {1024, 1536}, {1536, 1612}}
	var want []string
	for subset := range 1 << len(parts) {
		content := []byte(strings.Repeat("o", 2048))
		for i, part := range parts {
			if subset>>i&1 == 1 {
				copy(content[part[0]:part[1]], strings.Repeat("n", 512))
			}
		}
		want = append(want, string(content))
	}
	slices.Sort(want)
	if got := crashes(t, fsys, content); !slices.Equal(got, want) {
		t.Errorf("the crashes had %d results; want any subset of %d sectors", len(got), len(parts))
	}
}

func TestCrashTearsBytes(t *testing.T) {
	fsys := newFS(t, faultfs.Options{TearBytes: true})
	f := put(t, fsys, "data/f", strings.Repeat("o", 100))
	writeAt(t, f, strings.Repeat("n", 100), 0)
	writeAt(t, f, "n", 150)
	boundaries, sizes := map[int]bool{}, map[int]bool{}
	for _, content := range crashes(t, fsys, content) {
		sizes[len(content)] = true
		for i := 1; i < 100; i++ {
			if content[i] != content[i-1] {
				boundaries[i] = true
			}
		}
	}
	if len(boundaries) < 90 {
		t.Errorf("the crashes have torn the write at only %d of 99 bytes", len(boundaries))
	}
	if len(sizes) < 45 {
		t.Errorf("the file had only %d sizes; want about 52", len(sizes))
	}
}

func TestCrashSizes(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := put(t, fsys, "data/f", strings.Repeat("o", 600))
	writeAt(t, f, strings.Repeat("n", 1200), 600)
	equal(t, "sizes after an append", crashes(t, fsys, size), "  600", " 1024", " 1536", " 1800")

	ok(t, f.Sync())
	ok(t, f.Truncate(100))
	equal(t, "sizes after Truncate", crashes(t, fsys, size),
		"  100", "  512", " 1024", " 1536", " 1800")

	ok(t, f.Sync())
	ok(t, f.Truncate(1025))
	equal(t, "sizes after an extension", crashes(t, fsys, size),
		"  100", "  512", " 1024", " 1025")
	ok(t, f.Sync())
	equal(t, "sizes after Sync", crashes(t, fsys, size), " 1025")
}

func TestCrashNames(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, fsys *faultfs.FS)
		want   []string
	}{
		{"create", func(t *testing.T, fsys *faultfs.FS) {
			ok(t, open(t, fsys, "data/g").Sync())
			ok(t, open(t, fsys, "data/h").Sync())
		}, []string{"f=o", "f=o g= ", "f=o g=  h= ", "f=o h= "}},
		{"remove", func(t *testing.T, fsys *faultfs.FS) {
			ok(t, fsys.Remove("data/f"))
		}, []string{"", "f=o"}},
		{"replace", func(t *testing.T, fsys *faultfs.FS) {
			put(t, fsys, "data/g", "n")
			ok(t, fsys.Rename("data/g", "data/f"))
		}, []string{"f=n", "f=o g=n"}},
		{"rename twice", func(t *testing.T, fsys *faultfs.FS) {
			ok(t, fsys.Rename("data/f", "data/g"))
			ok(t, fsys.Rename("data/g", "data/h"))
		}, []string{"f=o", "g=o", "h=o"}},
		{"create and rename", func(t *testing.T, fsys *faultfs.FS) {
			f := open(t, fsys, "data/g")
			writeAt(t, f, "n", 0)
			ok(t, f.Sync())
			ok(t, fsys.Rename("data/g", "data/f"))
		}, []string{"f=n", "f=o", "f=o g=n"}},
		{"remove and create", func(t *testing.T, fsys *faultfs.FS) {
			ok(t, fsys.Remove("data/f"))
			open(t, fsys, "data/f")
		}, []string{"", "f= ", "f=o"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fsys := newFS(t, faultfs.Options{})
			put(t, fsys, "data/f", "o")
			test.change(t, fsys)
			equal(t, "files", crashes(t, fsys, names), test.want...)
			ok(t, fsys.SyncDir(dir))
			equal(t, "files after SyncDir", crashes(t, fsys, names), names(fsys))
		})
	}
}

// The name of a directory is stable after SyncDir of its parent.
func TestCrashDirectories(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	ok(t, fsys.MkdirAll("a/b"))
	ok(t, open(t, fsys, "a/b/f").Sync())
	ok(t, fsys.SyncDir("a/b"))
	ok(t, fsys.SyncDir("a"))
	if _, err := fsys.CrashClean().List("a"); err == nil {
		t.Error("directory a is there without SyncDir of its parent")
	}
	ok(t, fsys.SyncDir("."))
	equal(t, "files", fsys.CrashClean().Files(), "a/b/f")
}

// The name of a file is not stable after Sync of the file, and the content is not
// stable after SyncDir of the directory.
func TestCrashClean(t *testing.T) {
	fsys := newFS(t, faultfs.Options{})
	f := open(t, fsys, "data/f")
	writeAt(t, f, "one", 0)
	ok(t, f.Sync())
	equal(t, "files before SyncDir", fsys.CrashClean().Files())
	ok(t, fsys.SyncDir(dir))
	writeAt(t, f, "two", 3)
	ok(t, fsys.Rename("data/f", "data/g"))
	if got := contents(fsys.CrashClean()); len(got) != 1 || got["data/f"] != "one" {
		t.Errorf("after CrashClean, the files are %q", got)
	}
	if got := contents(fsys.Kill()); len(got) != 1 || got["data/g"] != "onetwo" {
		t.Errorf("after Kill, the files are %q", got)
	}
	after := fsys.Kill()
	if got := contents(after.CrashClean()); len(got) != 1 || got["data/f"] != "one" {
		t.Errorf("after Kill and CrashClean, the files are %q", got)
	}
	writeAt(t, f, "three", 0)
	if got := string(after.ReadFile("data/g")); got != "onetwo" {
		t.Errorf("an old handle changed the new file system: %q", got)
	}
	if got := read(t, f); got != "threeo" {
		t.Errorf("the old handle reads %q", got)
	}
}

// A model checks random changes of a file: each write has a byte of its own, so that
// the model knows which bytes a power failure can leave at each offset.
func TestCrashRandom(t *testing.T) {
	const size = 3000
	rng := testrand.New(t)
	fsys := newFS(t, faultfs.Options{TearBytes: rng.IntN(2) == 0})
	f := put(t, fsys, "data/f", "")
	model := newModel(size)
	for n := range 400 {
		b, offset := byte(n%255+1), rng.Int64N(size)
		switch rng.IntN(6) {
		case 0:
			ok(t, f.Sync())
			model.sync()
		case 1:
			ok(t, f.Truncate(offset))
			model.resize(int(offset))
		default:
			p := strings.Repeat(string([]byte{b}), int(rng.Int64N(size-offset)+1))
			writeAt(t, f, p, offset)
			model.write(b, int(offset), len(p))
		}
		for range 5 {
			model.check(t, fsys.Crash(rng).ReadFile("data/f"))
		}
		clean, live := fsys.CrashClean().ReadFile("data/f"), read(t, f)
		if string(clean) != string(model.stable) || live != string(model.live) {
			t.Fatalf("step %d: CrashClean and the live file differ from the model", n)
		}
	}
}

type model struct {
	live, stable []byte
	min, max     int            // sizes since the last sync
	bytes        []map[byte]int // bytes at each offset since the last sync
}

func newModel(size int) *model {
	m := &model{bytes: make([]map[byte]int, size)}
	m.sync()
	return m
}

func (m *model) sync() {
	m.stable = slices.Clone(m.live)
	m.min, m.max = len(m.live), len(m.live)
	for i := range m.bytes {
		m.bytes[i] = map[byte]int{}
		if i < len(m.live) {
			m.bytes[i][m.live[i]] = 1
		}
	}
}

func (m *model) write(b byte, offset, n int) {
	m.resize(max(len(m.live), offset+n))
	for i := offset; i < offset+n; i++ {
		m.live[i] = b
		m.bytes[i][b] = 1
	}
}

func (m *model) resize(size int) {
	m.live = append(m.live[:min(size, len(m.live))], make([]byte, max(0, size-len(m.live)))...)
	m.min, m.max = min(m.min, size), max(m.max, size)
}

func (m *model) check(t *testing.T, content []byte) {
	t.Helper()
	if len(content) < m.min || len(content) > m.max {
		t.Fatalf("the size is %d; want %d to %d", len(content), m.min, m.max)
	}
	for i, b := range content {
		if m.bytes[i][b] == 0 && (b != 0 || i < m.min) {
			t.Fatalf("byte %d is %d; want one of %v", i, b, m.bytes[i])
		}
	}
}

func TestCrashIsRepeatable(t *testing.T) {
	seed := testrand.New(t).Uint64()
	run := func() string {
		fsys := newFS(t, faultfs.Options{Seed: seed})
		f := put(t, fsys, "data/f", strings.Repeat("o", 9000))
		fsys.FailAt(1, errDisk)
		f.WriteAt([]byte(strings.Repeat("n", 9000)), 100)
		for i := range 20 {
			open(t, fsys, fmt.Sprint("data/", i))
		}
		crashed := fsys.Crash(testrand.WithSeed(seed))
		open(t, crashed, "data/new")
		return fmt.Sprint(contents(fsys), contents(crashed.Crash(testrand.WithSeed(seed))))
	}
	if first := run(); run() != first {
		t.Error("two runs with the same seed differ")
	}
}
