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
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// TestDamagedRecord spoils an entry where the store's checksums do not see it.
func TestDamagedRecord(t *testing.T) {
	l := open(t, dir, disklog.Options{FS: vfs.NewMem(), Reserve: -1})
	put(t, l, entry("1", "a"), entry("2", "b"), entry("3", "c"))
	if err := l.Damage(2); err != nil {
		t.Fatal(err)
	}
	for _, sel := range []sse.Selection{topics("b"), everything} {
		_, err := l.Read(t.Context(), sse.Position{}, sse.Position{}, sel, 1<<20)
		if err == nil || !strings.Contains(err.Error(), "damaged: number 2") {
			t.Errorf("%v: %v", sel, err)
		}
	}
	if got := data(get(t, l, topics("a", "c"))); got != "1 3" {
		t.Errorf("of the others %q is read", got)
	}
}

// TestDamagedTable spoils every block of a table on the disk: no read returns what
// was not written.
func TestDamagedTable(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	kept := map[string]bool{}
	for i := range 2000 {
		text := fmt.Sprint(i, " ", noise(shared, 50))
		kept[text] = true
		put(t, l, entry(text, "a"))
	}
	if err := errors.Join(l.Flush(), l.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := 100; i < len(content)/2; i += 4000 {
			content[i] ^= 4
		}
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err = disklog.Open(dir, &disklog.Options{Logger: quiet, Fatal: func(error) {}})
	if err != nil {
		t.Log(err) // it is found at once
		return
	}
	defer l.Close()
	failed := 0
	for seq := uint64(0); seq < 2000; seq += 250 {
		page, err := l.Read(t.Context(), sse.Position{Seq: seq}, sse.Position{}, everything, 1)
		if err != nil {
			failed++
			continue
		}
		for _, e := range page.Entries {
			if !kept[e.Event.Data] {
				t.Fatalf("read what was not written: %v", e)
			}
		}
	}
	if failed == 0 {
		t.Error("nothing is found to be damaged")
	}
}

// badDisk fails to sync the write-ahead log, once it is told to.
type badDisk struct {
	*vfs.MemFS
	bad atomic.Bool
}

func (d *badDisk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.MemFS.Create(name, category)
	return &badFile{f, d, filepath.Ext(name) == ".log"}, err
}

type badFile struct {
	vfs.File
	disk  *badDisk
	isLog bool
}

func (f *badFile) SyncData() error {
	if f.isLog && f.disk.bad.Load() {
		return syscall.EIO
	}
	return f.File.SyncData()
}

func (f *badFile) Sync() error {
	if f.isLog && f.disk.bad.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

// failingDir is the environment variable that makes the test binary do what
// TestFailingDisk is about: the store is of no use afterwards, nor is the process.
const failingDir = "DISKLOG_FAILING"

func failing() error {
	ctx := context.Background()
	disk := &badDisk{MemFS: vfs.NewMem()}
	var said bytes.Buffer
	fatal := make(chan error, 1)
	l, err := disklog.Open(dir, &disklog.Options{
		FS: disk, Reserve: -1, Logger: slog.New(slog.NewTextHandler(&said, nil)),
		Fatal: func(err error) { fatal <- err },
	})
	if err != nil {
		return err
	}
	if _, err := l.Append(ctx, entry("1", "a")); err != nil {
		return err
	}
	disk.bad.Store(true)
	for range 3 {
		if _, err := l.Append(ctx, entry("2", "a")); err == nil {
			return errors.New("acknowledged what is not synced")
		}
	}
	<-fatal
	page, err := l.Read(ctx, sse.Position{}, sse.Position{}, topics("a"), 1<<20)
	if err != nil || data(page) != "1" {
		return fmt.Errorf("%q is read, %w", data(page), err)
	}
	if err := l.Close(); err == nil || !strings.Contains(said.String(), "disk has failed") {
		return fmt.Errorf("close: %w; said %q", err, said.String())
	}
	return nil
}

// TestFailingDisk fails a sync: nothing is acknowledged from then on, what was
// acknowledged can be read, and Close returns.
func TestFailingDisk(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), failingDir+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
