package segmentlog_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
)

// TestKilledMerging kills a log that has made one segment of several, but whose state
// still names these. Then one file is removed. The log must have each entry once, and in
// order, and no entry that was deleted. It must report a loss.
func TestKilledMerging(t *testing.T) {
	disk := faultfs.New(faultfs.Options{})
	var killed []*faultfs.FS
	renamed := false
	disk.Hook(func(_ int, op, name string) { // only the goroutine that trims calls it then
		if renamed {
			killed = append(killed, disk.Kill())
		}
		renamed = op == "rename" && strings.HasSuffix(name, "-1.events.new")
	})
	opts := segmentlog.Options{FS: disk, SegmentSize: 2000, Reserve: -1, Logger: quiet}
	l := open(t, dir, opts)
	for i := range 90 {
		topic := "deleted"
		if i%4 == 0 {
			topic = "kept"
		}
		put(t, l, entry(fmt.Sprintf("%d %s", i, strings.Repeat("x", 80)), topic))
	}
	if err := l.Delete(t.Context(), "deleted", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(killed) == 0 {
		t.Fatal("nothing was rewritten")
	}
	for i, from := range killed {
		for _, name := range from.Files() {
			if !strings.HasSuffix(name, ".events") {
				continue
			}
			t.Run(fmt.Sprint(i, " ", filepath.Base(name)), func(t *testing.T) {
				checkMerged(t, from.Kill(), name)
			})
		}
	}
}

func checkMerged(t *testing.T, disk *faultfs.FS, remove string) {
	t.Helper()
	disk.Delete(remove)
	var said messages
	l := open(t, dir, segmentlog.Options{
		FS: disk, SegmentSize: 2000, Reserve: -1, Logger: said.logger(),
	})
	page := get(t, l, everything)
	last := uint64(0)
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.Topics[0] != "kept" || e.Position.Seq <= last {
			t.Errorf("entry %d of topic %s after %d", e.Position.Seq, e.Topics[0], last)
		}
		last = e.Position.Seq
	}
	if counted, _ := l.Entries(); counted != uint64(len(page.Entries)) {
		t.Errorf("the log counts %d entries, and has %d", counted, len(page.Entries))
	}
	if n := len(page.Entries); n < 23 && !strings.Contains(said.String(), filepath.Base(remove)) {
		t.Errorf("%d entries; the log has logged %q", n, said.String())
	}
}

// TestTwoDamages damages the index and the last group of a sealed segment. The last events
// of the segment cannot be found any more, and the log must report this.
func TestTwoDamages(t *testing.T) {
	disk := faultfs.New(faultfs.Options{})
	var said messages
	opts := segmentlog.Options{FS: disk, SegmentSize: 2000, Reserve: -1, Logger: said.logger()}
	l := open(t, dir, opts)
	for i := range 40 {
		put(t, l, entry(fmt.Sprint(i, strings.Repeat("x", 100)), "a"))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := disk.Files()[0]
	p := disk.ReadFile(name)
	const trailer, begin = 148, 8 + 8*8 // the trailer, and the number in it where the groups end
	groups := binary.LittleEndian.Uint64(p[len(p)-trailer+begin:])
	last := bytes.LastIndex(p[:groups], p[8:16]) // each group begins with the marker of the header
	disk.Flip(name, int64(last)+9, 0)
	disk.Flip(name, int64(groups), 0)
	l = open(t, dir, opts)
	page := get(t, l, everything)
	missing := uint64(0)
	for i, e := range page.Entries {
		if seq := uint64(i) + 1; e.Position.Seq != seq {
			missing = seq
			break
		}
	}
	if missing == 0 || page.Lost.Seq < missing {
		t.Errorf("the first missing event is %d, and Lost is %v", missing, page.Lost)
	}
	if want := fmt.Sprintf("the events %d to", missing); !strings.Contains(said.String(), want) {
		t.Errorf("the log has logged %q, want %q", said.String(), want)
	}
}
