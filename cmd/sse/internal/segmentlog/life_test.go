package segmentlog_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// reopen closes a log and opens its directory. It returns the messages of Open.
func reopen(t *testing.T, l *segmentlog.Log, fsys vfs.FS, dir string) (*segmentlog.Log, string) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var logged messages
	l = open(t, dir, segmentlog.Options{FS: fsys, Logger: logged.logger()})
	return l, logged.String()
}

// outcome describes a log after a change of its files.
type outcome struct {
	epoch bool // it is the same
	entry bool // it is there
}

// check opens a log that had one entry, and the end was at was.
func (o *outcome) check(
	t *testing.T, l *segmentlog.Log, fsys vfs.FS, dir string, was sse.Position,
) {
	t.Helper()
	l, logged := reopen(t, l, fsys, dir)
	now := end(t, l)
	if same := now.Epoch == was.Epoch; same != o.epoch {
		t.Errorf("the epoch is the same: %t, want %t; logged %q", same, o.epoch, logged)
	}
	if stored := len(get(t, l, everything).Entries) == 1; stored != o.entry {
		t.Errorf("the entry is stored: %t, want %t", stored, o.entry)
	}
	if o.epoch && now != was {
		t.Errorf("the end is %v, was %v", now, was)
	}
	if strings.Contains(logged, "new epoch") == o.epoch {
		t.Errorf("the log has logged %q", logged)
	}
	if next := put(t, l, entry("2", "a"))[0].Position; next.Seq != now.Seq+1 {
		t.Errorf("number %d after %d", next.Seq, now.Seq)
	}
	// The log begins a new epoch once, not every time.
	l, logged = reopen(t, l, fsys, dir)
	if end(t, l).Epoch != now.Epoch || logged != "" {
		t.Errorf("opened again: the epoch is another one, or the log has logged %q", logged)
	}
}

// TestEpoch removes and copies the files of a log, as people do. TestKeyFile and
// TestStateFile remove and damage the other files.
func TestEpoch(t *testing.T) {
	remove := func(name string) func(*faultfs.FS) *faultfs.FS {
		return func(fsys *faultfs.FS) *faultfs.FS {
			fsys.Delete(filepath.Join(dir, name))
			return fsys
		}
	}
	for _, c := range []struct {
		name string
		do   func(*faultfs.FS) *faultfs.FS
		want outcome
	}{
		{"nothing", func(fsys *faultfs.FS) *faultfs.FS { return fsys }, outcome{true, true}},
		{"the reserve removed", remove("reserve"), outcome{true, true}},
		{"the mark removed", remove("mark"), outcome{true, true}},
		{"the lock removed", remove("lock"), outcome{true, true}},
		{"the epoch removed", remove("epoch"), outcome{false, true}},
		{"the segment removed", remove("00000000000000000001-0.events"), outcome{false, false}},
		{"a copy in its place", func(fsys *faultfs.FS) *faultfs.FS {
			return fsys.Snapshot("/", nil)
		}, outcome{false, true}},
		{"all but the mark removed", func(fsys *faultfs.FS) *faultfs.FS {
			for _, name := range fsys.Files() {
				if !strings.HasSuffix(name, "mark") {
					fsys.Delete(name)
				}
			}
			return fsys
		}, outcome{false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := faultfs.New(faultfs.Options{})
			l := open(t, dir, segmentlog.Options{FS: fsys, Reserve: 1000})
			was := put(t, l, entry("1", "a"))[0].Position
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			c.want.check(t, l, c.do(fsys), dir, was)
		})
	}
}

// TestTailRemoved removes a tail without entries. The log cannot know any more what the
// position of its end was: it has removed the last entry.
func TestTailRemoved(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 1}
	l := open(t, dir, opts)
	put(t, l, entry("1", "a"))
	was := put(t, l, entry("2", "b"))[0].Position
	if err := l.Delete(t.Context(), "b", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fsys.Delete(filepath.Join(dir, "00000000000000000003-0.events"))
	o := outcome{epoch: false, entry: true}
	o.check(t, l, fsys, dir, was)
}

// TestMoved moves and copies a directory of the operating system.
func TestMoved(t *testing.T) {
	for _, c := range []struct {
		name string
		do   [][]string
		want outcome
	}{
		{"renamed and back", [][]string{{"mv", "log", "log2"}, {"mv", "log2", "log"}},
			outcome{true, true}},
		{"a copy in its place", [][]string{{"mv", "log", "log2"}, {"cp", "-a", "log2", "log"}},
			outcome{false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "log")
			l := open(t, dir, segmentlog.Options{Reserve: -1})
			was := put(t, l, entry("1", "a"))[0].Position
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if !c.want.epoch && vfs.OS.Born(filepath.Join(dir, "epoch")) == 0 {
				t.Skip("this file system does not report when a file was created")
			}
			for _, args := range c.do {
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				if cmd.Dir = above; cmd.Err != nil && os.Getenv("CI") != "true" {
					t.Skip(cmd.Err)
				}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v: %s", args, err, out)
				}
			}
			c.want.check(t, l, vfs.OS, dir, was)
		})
	}
}

// TestOldStore puts an old copy of the segments and of the state in the place of the
// new ones.
func TestOldStore(t *testing.T) {
	for _, size := range []int64{0, 1} { // with 1, each entry is in its own segment
		fsys := faultfs.New(faultfs.Options{})
		opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: size}
		l := open(t, dir, opts)
		put(t, l, entry("1", "a"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		old := fsys.Snapshot(dir, nil)
		l = open(t, dir, opts)
		lost := put(t, l, entry("2", "a"))[0]
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range files(fsys, ".events") {
			fsys.Delete(filepath.Join(dir, name))
		}
		for _, name := range append(files(old, ".events"), "state") {
			name = filepath.Join(dir, name)
			fsys.WriteFile(name, old.ReadFile(name))
		}
		l, logged := reopen(t, l, fsys, dir)
		if !strings.Contains(logged, "it ends at number 1, but 2 was acknowledged") {
			t.Errorf("SegmentSize %d: the log has logged %q", size, logged)
		}
		page := locate(t, l, sse.Start{After: lost.Position}, everything)
		if page.Gap == nil || page.Gap.Why != sse.GapEpoch {
			t.Errorf("SegmentSize %d: after the lost entry: %+v", size, page.Gap)
		}
	}
}

// TestTornTail adds a part of a group to the last segment, as a crash in the middle of a
// write does.
func TestTornTail(t *testing.T) {
	for _, torn := range []string{"x", "\x01\x02\x03\x04\x00\x01\x01x", strings.Repeat("\x00", 5000)} {
		fsys := faultfs.New(faultfs.Options{})
		l := open(t, dir, segmentlog.Options{FS: fsys, Reserve: -1})
		stored := put(t, l, entry("1", "a"), entry("2", "a"))
		fsys = fsys.Kill()
		segment := filepath.Join(dir, files(fsys, ".events")[0])
		fsys.WriteFile(segment, append(fsys.ReadFile(segment), torn...))
		var logged messages
		l = open(t, dir, segmentlog.Options{FS: fsys, Logger: logged.logger()})
		if !strings.Contains(logged.String(), "cuts off") {
			t.Errorf("the log has logged %q", logged.String())
		}
		if got := get(t, l, everything).Entries; len(got) != 2 {
			t.Errorf("%d entries, want 2", len(got))
		}
		stored = append(stored, put(t, l, entry("3", "a"))...)
		l, logged2 := reopen(t, l, fsys, dir)
		if err := contains(l, stored); err != nil || logged2 != "" {
			t.Errorf("opened again: %v; logged %q", err, logged2)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, segmentlog.Options{Reserve: -1})
	_, err := segmentlog.Open(dir, &segmentlog.Options{})
	var locked *segmentlog.LockedError
	if !errors.As(err, &locked) || locked.Dir != dir ||
		!strings.Contains(err.Error(), "is already open: ") {
		t.Errorf("opened twice in a process: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is already open: ") {
		t.Errorf("another process: %v: %s", err, out)
	}
	opened := make(chan error)
	go func() {
		prepared, err := segmentlog.Prepare(dir, &segmentlog.Options{})
		if err != nil {
			opened <- err
			return
		}
		second, err := prepared.Open(t.Context(), time.Minute)
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Errorf("opened while another has it: %v", err)
	default:
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestClose calls every method of a closed log.
func TestClose(t *testing.T) {
	l := open(t, dir, segmentlog.Options{FS: faultfs.New(faultfs.Options{}), Reserve: -1})
	put(t, l, entry("1", "a"))
	following := make(chan error)
	go func() {
		var last error
		for _, err := range l.Follow(context.Background(), sse.ReadRequest{}) {
			last = err
		}
		following <- last
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-following; !errors.Is(err, segmentlog.ErrClosed) {
		t.Errorf("Follow ends with %v", err)
	}
	ctx, entries := t.Context(), []sse.Entry{entry("2", "a")}
	_, appended := l.Append(ctx, sse.AppendRequest{Entries: entries})
	_, once := l.Append(ctx, sse.AppendRequest{Entries: entries, Key: "k"})
	_, read := l.Read(ctx, sse.ReadRequest{Selection: everything, Limit: 1})
	_, located := l.Locate(ctx, sse.Start{Earliest: true}, everything)
	for name, err := range map[string]error{
		"Append": appended, "Append with a key": once, "Read": read, "Locate": located,
		"Delete": l.Delete(ctx, "a", sse.Position{}), "Trim": l.Trim(), "CheckSpace": l.CheckSpace(),
	} {
		if !errors.Is(err, segmentlog.ErrClosed) {
			t.Errorf("%s of a closed log: %v", name, err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := segmentlog.Open(dir, nil); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("a directory that cannot be created: %v", err)
		}
	}
	for _, opts := range []segmentlog.Options{
		{Retention: []segmentlog.Retention{{Count: -1}}}, {Keys: -1}, {SegmentSize: -1},
	} {
		opts.FS = faultfs.New(faultfs.Options{})
		if l, err := segmentlog.Open(dir, &opts); err == nil {
			t.Errorf("%+v: a negative limit is accepted", opts)
			_ = l.Close()
		}
	}
}

// TestOldFormat opens a directory in which an older version of the hub has stored events.
func TestOldFormat(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	fsys.WriteFile(filepath.Join(dir, "store", "MANIFEST-000001"), []byte("x"))
	for range 2 {
		_, err := segmentlog.Open(dir, &segmentlog.Options{FS: fsys})
		var old *segmentlog.OldFormatError
		if !errors.As(err, &old) || old.Dir != dir {
			t.Errorf("Open: %v, want an OldFormatError", err)
		}
	}
	for _, name := range fsys.Files() {
		if base := filepath.Base(name); base != "lock" && base != "MANIFEST-000001" {
			t.Errorf("Open has created %s", name)
		}
	}
}

// TestKeyFile damages the key file of a log with an event.
func TestKeyFile(t *testing.T) {
	name := filepath.Join(dir, "key")
	for _, c := range []struct {
		name   string
		damage func(fsys *faultfs.FS)
		reason string // why Open returns an error, or empty
	}{
		{"unchanged", func(*faultfs.FS) {}, ""},
		{"removed", func(fsys *faultfs.FS) { fsys.Delete(name) }, "is missing"},
		{"empty", func(fsys *faultfs.FS) { fsys.Cut(name, 0) }, "is damaged"},
		{"cut", func(fsys *faultfs.FS) { fsys.Cut(name, 30) }, "is damaged"},
		{"of another log", func(fsys *faultfs.FS) {
			fsys.WriteFile(name, []byte("sse log, key 000102030405060708090a0b0c0d0e0f\n"))
		}, "is of another log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := faultfs.New(faultfs.Options{})
			opts := segmentlog.Options{FS: fsys, Reserve: -1}
			l := open(t, dir, opts)
			was := put(t, l, entry("1", "a"))[0].Position
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			c.damage(fsys)
			if c.reason == "" {
				if l, logged := reopen(t, l, fsys, dir); end(t, l) != was || logged != "" {
					t.Errorf("the end is %v, was %v; logged %q", end(t, l), was, logged)
				}
				return
			}
			_, err := segmentlog.Open(dir, &opts)
			var missing *segmentlog.MissingKeyError
			if !errors.As(err, &missing) || missing.Name != name || missing.Reason != c.reason {
				t.Fatalf("Open: %v, want that %s %s", err, name, c.reason)
			}
			opts.NewEpoch = true
			checkNewEpoch(t, open(t, dir, opts), was)
		})
	}
}

// TestKeyFileMode checks that only the owner may read the secret.
func TestKeyFileMode(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, segmentlog.Options{Reserve: -1})
	info, err := os.Stat(filepath.Join(dir, "key"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file: %v, %v, want mode 0600", info.Mode(), err)
	}
}

// TestStateFile damages the state file of a log with an event.
func TestStateFile(t *testing.T) {
	name := filepath.Join(dir, "state")
	for _, c := range []struct {
		name   string
		damage func(fsys *faultfs.FS)
		reason string
	}{
		{"removed", func(fsys *faultfs.FS) { fsys.Delete(name) }, "is missing"},
		{"empty", func(fsys *faultfs.FS) { fsys.Cut(name, 0) }, "is damaged"},
		{"changed", func(fsys *faultfs.FS) { fsys.Flip(name, 20, 1) }, "is damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := faultfs.New(faultfs.Options{})
			opts := segmentlog.Options{FS: fsys, Reserve: -1}
			l := open(t, dir, opts)
			was := put(t, l, entry("1", "a"))[0].Position
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			c.damage(fsys)
			_, err := segmentlog.Open(dir, &opts)
			var bad *segmentlog.StateError
			if !errors.As(err, &bad) || bad.Name != name || bad.Reason != c.reason || bad.Newer {
				t.Fatalf("Open: %v, want that %s %s", err, name, c.reason)
			}
			opts.NewEpoch = true
			checkNewEpoch(t, open(t, dir, opts), was)
		})
	}
}

// checkNewEpoch checks a log that has one entry, and that has begun a new epoch since it
// has returned the position of this entry.
func checkNewEpoch(t *testing.T, l *segmentlog.Log, was sse.Position) {
	t.Helper()
	page := locate(t, l, sse.Start{After: was}, everything)
	if page.Gap == nil || page.Gap.Why != sse.GapEpoch {
		t.Errorf("after the old position: %+v, want a gap because of the epoch", page.Gap)
	}
	page = get(t, l, everything)
	if len(page.Entries) != 1 {
		t.Fatalf("%d entries, want 1", len(page.Entries))
	}
	now := page.Entries[0].Position
	if now.Seq != was.Seq || now.Check == was.Check || end(t, l) != now {
		t.Errorf("the position was %v, is %v, and the end is %v", was, now, end(t, l))
	}
	if page := locate(t, l, sse.Start{After: now}, everything); page.Gap != nil {
		t.Errorf("after the new position: %+v", page.Gap)
	}
}

// TestKeyLostWithoutEvents removes the key file of a log in which nothing was stored.
func TestKeyLostWithoutEvents(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	l := open(t, dir, segmentlog.Options{FS: fsys})
	was := end(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fsys.Delete(filepath.Join(dir, "key"))
	if l := open(t, dir, segmentlog.Options{FS: fsys}); end(t, l).Epoch == was.Epoch {
		t.Error("the epoch is the same, want a new one")
	}
}

// TestNewEpoch asks for a new epoch of a log that has lost nothing.
func TestNewEpoch(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	l := open(t, dir, segmentlog.Options{FS: fsys})
	was := put(t, l, entry("1", "a"))[0].Position
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, segmentlog.Options{FS: fsys, NewEpoch: true})
	checkNewEpoch(t, l, was)
	now := end(t, l)
	if l, logged := reopen(t, l, fsys, dir); end(t, l) != now || logged != "" {
		t.Errorf("opened again, the end is %v, was %v; logged %q", end(t, l), now, logged)
	}
}
