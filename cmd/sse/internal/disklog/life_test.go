package disklog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// reopen closes a log and opens its directory, and returns what that has said.
func reopen(t *testing.T, l *disklog.Log, dir string) (*disklog.Log, string) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	l = open(t, dir, disklog.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	return l, said.String()
}

// end is where a log ends.
func end(t *testing.T, l *disklog.Log) sse.Position {
	t.Helper()
	p, err := l.Locate(t.Context(), sse.Start{}, everything)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEpoch does to a log's directory what people do.
func TestEpoch(t *testing.T) {
	copyTo := func(t *testing.T, from, to string) {
		if _, err := exec.LookPath("cp"); err != nil && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
	}
	remove := func(t *testing.T, name string) {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir string)
		same bool // the epoch
		kept bool // the entry
	}{
		{"nothing", func(*testing.T, string) {}, true, true},
		{"renamed and back", func(t *testing.T, dir string) {
			for _, move := range [][2]string{{dir, dir + "2"}, {dir + "2", dir}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, true, true},
		{"the reserve removed", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "reserve"))
		}, true, true},
		{"the mark removed", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "mark"))
		}, true, true},
		{"all removed", remove, false, false},
		{"the store removed", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "store"))
		}, false, false},
		{"the epoch removed", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "epoch"))
		}, false, true},
		{"a copy in its place", func(t *testing.T, dir string) {
			copyTo(t, dir, dir+".backup")
			remove(t, dir)
			copyTo(t, dir+".backup", dir)
		}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			l := open(t, dir, disklog.Options{})
			put(t, l, entry("1", "a"))
			was := end(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			c.do(t, dir)
			l, said := reopen(t, l, dir)
			now := end(t, l)
			if c.name == "a copy in its place" && disklog.BirthTime(dir) == 0 {
				t.Skip("this file system does not say when a file has come into being")
			}
			if same := now.Epoch == was.Epoch; same != c.same {
				t.Errorf("the same epoch: %v, want %v; said %q", same, c.same, said)
			}
			if kept := len(get(t, l, everything).Entries) == 1; kept != c.kept {
				t.Errorf("the entry is kept: %v, want %v", kept, c.kept)
			}
			if told := strings.Contains(said, "new epoch"); told != (c.kept && !c.same) {
				t.Errorf("said %q", said)
			}
			if next := put(t, l, entry("2", "a"))[0].Position; next.Seq != now.Seq+1 {
				t.Errorf("number %d after %d", next.Seq, now.Seq)
			}
			// It begins once, not every time.
			l, said = reopen(t, l, dir)
			if end(t, l).Epoch != now.Epoch || said != "" {
				t.Errorf("opened again: another epoch, or it says %q", said)
			}
		})
	}
}

// TestOldStore puts an old copy of the store alone in the place of the new one.
func TestOldStore(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	put(t, l, entry("1", "a"))
	l, _ = reopen(t, l, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	store, old := filepath.Join(dir, "store"), filepath.Join(dir, "old")
	if err := os.CopyFS(old, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, disklog.Options{})
	lost := put(t, l, entry("2", "a"))[0]
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, store); err != nil {
		t.Fatal(err)
	}
	l, said := reopen(t, l, dir)
	if !strings.Contains(said, "2 was acknowledged") {
		t.Errorf("said %q", said)
	}
	_, err := l.Locate(t.Context(), sse.Start{After: lost.Position}, everything)
	var gap *sse.Gap
	if !errors.As(err, &gap) || gap.Why != "epoch" {
		t.Errorf("after what is lost: %v", err)
	}
}

// TestTornTail cuts and spoils the end of the write-ahead log, as a crash does in
// the middle of a write.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	l, err := disklog.Open(dir, &disklog.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	kept := put(t, l, entry("1", "a"), entry("2", "a"))
	leave := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(leave, os.DirFS(dir)); err != nil { // as if it were killed here
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(leave, "store", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	f, err := os.OpenFile(logs[len(logs)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// A part of a record: its header announces more than there is.
	if _, err := f.Write([]byte{1, 2, 3, 4, 0, 1, 1, 'x'}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	l = open(t, leave, disklog.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if !strings.Contains(said.String(), "cut off") && !strings.Contains(said.String(), "copy") {
		t.Errorf("said %q", said.String())
	}
	if got := get(t, l, everything).Entries; len(got) != len(kept) {
		t.Errorf("%d entries, want %d", len(got), len(kept))
	}
	put(t, l, entry("3", "a"))
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	_, err := disklog.Open(dir, &disklog.Options{})
	var locked *disklog.LockedError
	if !errors.As(err, &locked) || locked.Dir != dir || !strings.Contains(err.Error(), "is already open: ") {
		t.Errorf("opened twice in a process: %v", err)
	}
	// Another process says the same, and gets it when it is closed.
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is already open: ") {
		t.Errorf("another process: %v: %s", err, out)
	}
	opened := make(chan error)
	go func() {
		second, err := disklog.Open(dir, &disklog.Options{LockWait: time.Minute})
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

// TestClose calls everything on a closed log.
func TestClose(t *testing.T) {
	l := open(t, t.TempDir(), disklog.Options{})
	put(t, l, entry("1", "a"))
	following := make(chan error)
	go func() {
		var last error
		for _, err := range l.Follow(context.Background(), sse.Position{}) {
			last = err
		}
		following <- last
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-following; err != disklog.ErrClosed {
		t.Errorf("Follow ends with %v", err)
	}
	ctx := t.Context()
	_, appended := l.Append(ctx, entry("2", "a"))
	_, _, once := l.AppendOnce(ctx, disklog.Once{}, entry("2", "a"))
	_, read := l.Read(ctx, sse.Position{}, sse.Position{}, everything, 1)
	_, located := l.Locate(ctx, sse.Start{Earliest: true}, everything)
	for name, err := range map[string]error{
		"Append": appended, "AppendOnce": once, "Read": read, "Locate": located,
		"Delete": l.Delete(ctx, "a"), "Trim": l.Trim(),
	} {
		if !errors.Is(err, disklog.ErrClosed) {
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
		if _, err := disklog.Open(dir, nil); err == nil || !strings.Contains(fmt.Sprint(err), file) {
			t.Errorf("a directory that cannot be: %v", err)
		}
	}
	_, err := disklog.Open(t.TempDir(), &disklog.Options{
		Retention: []disklog.Retention{{Count: -1}},
	})
	if err == nil {
		t.Error("a negative limit is a limit")
	}
}

// TestKeyFile damages the key file of a log with an event.
func TestKeyFile(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(name string) error
		reason string // why the log is refused, or empty
	}{
		{"unchanged", func(string) error { return nil }, ""},
		{"removed", os.Remove, "is missing"},
		{"empty", func(name string) error { return os.Truncate(name, 0) }, "is damaged"},
		{"cut", func(name string) error { return os.Truncate(name, 30) }, "is damaged"},
		{"of another log", func(name string) error {
			return os.WriteFile(name, []byte("sse log, key 000102030405060708090a0b0c0d0e0f\n"), 0o600)
		}, "is of another log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "key")
			l := open(t, dir, disklog.Options{})
			was := put(t, l, entry("1", "a"))[0].Position
			info, err := os.Stat(name)
			if err != nil || info.Mode() != 0o600 {
				t.Fatalf("the key file: %v, %v, want mode 0600", info.Mode(), err)
			}
			if err := errors.Join(l.Close(), c.damage(name)); err != nil {
				t.Fatal(err)
			}
			if c.reason == "" {
				if l, said := reopen(t, l, dir); end(t, l) != was || said != "" {
					t.Errorf("the end is %v, was %v; said %q", end(t, l), was, said)
				}
				return
			}
			_, err = disklog.Open(dir, &disklog.Options{Logger: quiet})
			var missing *disklog.MissingKeyError
			if !errors.As(err, &missing) || missing.Name != name || missing.Reason != c.reason {
				t.Fatalf("Open: %v, want that %s %s", err, name, c.reason)
			}
			checkNewEpoch(t, open(t, dir, disklog.Options{NewEpoch: true}), was)
		})
	}
}

// checkNewEpoch checks a log that has one entry, and has begun a new epoch since it
// has returned the position of this entry.
func checkNewEpoch(t *testing.T, l *disklog.Log, was sse.Position) {
	t.Helper()
	_, err := l.Locate(t.Context(), sse.Start{After: was}, everything)
	var gap *sse.Gap
	if !errors.As(err, &gap) || gap.Why != sse.GapEpoch {
		t.Errorf("after the old position: %v, want a gap because of the epoch", err)
	}
	page := get(t, l, everything)
	if len(page.Entries) != 1 {
		t.Fatalf("%d entries, want 1", len(page.Entries))
	}
	now := page.Entries[0].Position
	if now.Seq != was.Seq || now.Check == was.Check || end(t, l) != now {
		t.Errorf("the position was %v, is %v, and the end is %v", was, now, end(t, l))
	}
	if _, err := l.Locate(t.Context(), sse.Start{After: now}, everything); err != nil {
		t.Errorf("after the new position: %v", err)
	}
}

// TestKeyLostWithoutEvents removes the key file of a log in which nothing was stored.
func TestKeyLostWithoutEvents(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	was := end(t, l)
	if err := errors.Join(l.Close(), os.Remove(filepath.Join(dir, "key"))); err != nil {
		t.Fatal(err)
	}
	if l := open(t, dir, disklog.Options{}); end(t, l).Epoch == was.Epoch {
		t.Error("the epoch is the same, want a new one")
	}
}

// TestNewEpoch asks for a new epoch of a log that has lost nothing.
func TestNewEpoch(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	was := put(t, l, entry("1", "a"))[0].Position
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, disklog.Options{NewEpoch: true})
	checkNewEpoch(t, l, was)
	now := end(t, l)
	if l, _ := reopen(t, l, dir); end(t, l) != now {
		t.Errorf("opened again, the end is %v, was %v", end(t, l), now)
	}
}

// TestUpgrade opens a log from before positions had a key.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	was := put(t, l, entry("1", "a"))[0].Position
	if err := l.MakeOld(); err != nil {
		t.Fatal(err)
	}
	l, said := reopen(t, l, dir)
	if !strings.Contains(said, "new epoch") || !strings.Contains(said, "without a key") {
		t.Errorf("said %q", said)
	}
	checkNewEpoch(t, l, was)
	now := end(t, l)
	if l, said := reopen(t, l, dir); end(t, l) != now || said != "" {
		t.Errorf("opened again, the end is %v, was %v; said %q", end(t, l), now, said)
	}
}
