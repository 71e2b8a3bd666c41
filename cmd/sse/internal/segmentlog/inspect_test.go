package segmentlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/overlay"
)

// verified is the result of Verify.
type verified struct {
	segmentlog.Verified
	damage []segmentlog.Damage
}

// verify verifies a log, and checks that this does not change it.
func verify(t *testing.T, disk *faultfs.FS, dir string) (v verified) {
	t.Helper()
	before := contentsOf(disk)
	i, err := segmentlog.Inspect(dir, segmentlog.InspectOptions{
		FS: disk, OnDamage: func(d segmentlog.Damage) { v.damage = append(v.damage, d) },
	})
	if err == nil {
		v.Verified, err = i.Verify(t.Context())
	}
	if err == nil {
		err = i.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, contentsOf(disk)) {
		t.Error("Verify has changed a file")
	}
	return v
}

// isIdle reports whether damage of a file harms nothing, so that Verify ignores it.
func isIdle(name string) bool {
	return slices.Contains([]string{"lock", "reserve"}, filepath.Base(name))
}

// TestVerify damages each file of a log in many ways, and expects that Verify names the
// file.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, how := range []string{"close", "kill"} {
			d, err := newDamaged(t.Context(), how)
			if err != nil {
				t.Fatal(err)
			}
			whole := verify(t, d.disk, crashDir)
			if len(whole.damage) > 0 || whole.Events == 0 || whole.Files < 7 {
				t.Fatalf("after %s, Verify returned %+v", how, whole)
			}
			if how == "kill" {
				continue // the mark, and the end of the last segment, may be incomplete
			}
			for _, name := range d.disk.Files() {
				if !isIdle(name) {
					verifyDamaged(t, d.disk, name, whole.Events)
				}
			}
		}
	})
}

func verifyDamaged(t *testing.T, disk *faultfs.FS, name string, events uint64) {
	size := int64(len(disk.ReadFile(name)))
	try := func(what string, damage func(*faultfs.FS)) {
		t.Helper()
		damaged := disk.Kill()
		damage(damaged)
		was, now := disk.ReadFile(name), []byte(nil)
		if slices.Contains(damaged.Files(), name) {
			now = damaged.ReadFile(name)
		}
		if text := strings.HasPrefix(string(was), "sse log, "); text &&
			bytes.EqualFold(bytes.TrimSpace(was), bytes.TrimSpace(now)) {
			return // a hexadecimal number in capital letters, or no line end
		}
		v := verify(t, damaged, crashDir)
		if !slices.ContainsFunc(v.damage, func(d segmentlog.Damage) bool {
			return d.File == filepath.Base(name) && d.What != "" && d.Offset <= size
		}) {
			t.Errorf("%s %s: Verify reported %+v", filepath.Base(name), what, v.damage)
		}
		// Without the state, events that were removed are there again.
		if v.Events > events && !strings.HasSuffix(name, "state") {
			t.Errorf("%s %s: %d events, there were %d", filepath.Base(name), what, v.Events, events)
		}
	}
	try("removed", func(f *faultfs.FS) { f.Delete(name) })
	for _, to := range []int64{0, size / 2, size - 1} {
		try(fmt.Sprint("cut to ", to), func(f *faultfs.FS) { f.Cut(name, to) })
	}
	for i, off := range places(size) {
		if testing.Short() && i%10 != 0 {
			continue
		}
		try(fmt.Sprint("a bit at ", off), func(f *faultfs.FS) { f.Flip(name, off, int(off%8)) })
	}
}

// TestVerifyCounts compares the counts of Verify with the log.
func TestVerifyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New(faultfs.Options{})
		l := open(t, dir, segmentlog.Options{FS: disk, SegmentSize: 1000})
		for n := range 50 {
			put(t, l, entry(fmt.Sprint("event ", n), "a"), entry("other", "b"))
		}
		for range 2 {
			events, _ := l.Entries()
			copied := disk.Kill() // the log is open
			if v := verify(t, copied, dir); v.Events != events || len(v.damage) > 0 {
				t.Errorf("Verify returned %+v, the log has %d events", v, events)
			}
			if err := l.Delete(t.Context(), "b", sse.Position{}); err != nil {
				t.Fatal(err)
			}
			trim(t, l)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// difference returns how the files have changed.
func difference(before, after map[string]string) (changes []overlay.Change) {
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, old := before[name]
		now, stays := after[name]
		change := overlay.Change{Name: filepath.Base(name)}
		switch {
		case was == now && old == stays:
			continue
		case !stays:
			change.Kind = overlay.Removed
		case !old:
			change.Kind = overlay.Created
		case strings.HasPrefix(was, now):
			change.Kind, change.Size = overlay.Cut, int64(len(now))
		default:
			change.Kind = overlay.Changed
		}
		changes = append(changes, change)
	}
	return changes
}

// TestRepair compares the changes of a dry run with those of Repair, for a log with a
// damaged file, and for a log whose process was killed.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kinds := map[overlay.Kind]int{}
		for _, how := range []string{"close", "kill"} {
			d, err := newDamaged(t.Context(), how)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range d.disk.Files() {
				size := int64(len(d.disk.ReadFile(name)))
				for what, damage := range map[string]func(*faultfs.FS){
					"nothing":      func(*faultfs.FS) {},
					"removed":      func(f *faultfs.FS) { f.Delete(name) },
					"a bit":        func(f *faultfs.FS) { f.Flip(name, size/2, 1) },
					"cut":          func(f *faultfs.FS) { f.Cut(name, size*2/3) },
					"longer":       func(f *faultfs.FS) { f.Cut(name, size+5000) },
					"another file": func(f *faultfs.FS) { f.WriteFile(name+".new", []byte("draft")) },
				} {
					if size == 0 && what == "a bit" || filepath.Base(name) == "lock" && what == "removed" {
						continue
					}
					disk := d.disk.Kill()
					damage(disk)
					for _, c := range repairBoth(t, disk, filepath.Base(name)+" "+what) {
						kinds[c.Kind]++
					}
				}
			}
		}
		for _, kind := range []overlay.Kind{overlay.Created, overlay.Removed, overlay.Cut, overlay.Changed} {
			if kinds[kind] == 0 {
				t.Errorf("in no log, a file was %s", kind)
			}
		}
	})
}

// repairBoth tries to repair a log, repairs it, and tries again.
func repairBoth(t *testing.T, disk *faultfs.FS, what string) []overlay.Change {
	t.Helper()
	var damage [2][]segmentlog.Damage
	var said [2]bytes.Buffer
	repair := func(n int, dryRun bool) ([]overlay.Change, error) {
		return segmentlog.Repair(crashDir, segmentlog.InspectOptions{
			FS: disk, Logger: slog.New(slog.NewTextHandler(&said[n], nil)),
			OnDamage: func(d segmentlog.Damage) { damage[n] = append(damage[n], d) },
		}, dryRun)
	}
	before := contentsOf(disk)
	planned, err := repair(0, true)
	if !maps.Equal(before, contentsOf(disk)) {
		t.Errorf("%s: a dry run has changed a file", what)
	}
	done, err2 := repair(1, false)
	if fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Errorf("%s: a dry run returned the error %v, Repair %v", what, err, err2)
	}
	changes := difference(before, contentsOf(disk))
	if !slices.Equal(planned, changes) || !slices.Equal(planned, done) {
		t.Errorf("%s: a dry run returned %v, Repair %v, and the changes are %v",
			what, planned, done, changes)
	}
	if !slices.Equal(damage[0], damage[1]) {
		t.Errorf("%s: a dry run has found %v, Repair %v", what, damage[0], damage[1])
	}
	again, err := repair(0, true)
	// The log removes a damaged file of keys when it is opened again.
	again = slices.DeleteFunc(again, func(c overlay.Change) bool {
		return c.Kind == overlay.Removed && strings.HasSuffix(c.Name, ".keys")
	})
	if err2 == nil && (err != nil || len(again) > 0) {
		t.Errorf("%s: after Repair, a dry run returned %v, %v", what, again, err)
	}
	return changes
}

// TestInspectBusy verifies and repairs a log that is open.
func TestInspectBusy(t *testing.T) {
	root := t.TempDir()
	l := open(t, root, segmentlog.Options{})
	put(t, l, entry("one", "a"))
	if !segmentlog.Busy(root) {
		t.Error("an open log is not busy")
	}
	if _, err := segmentlog.Repair(root, segmentlog.InspectOptions{}, false); !isLocked(err) {
		t.Errorf("Repair of an open log: %v", err)
	}
	if _, err := segmentlog.Repair(root, segmentlog.InspectOptions{}, true); err != nil {
		t.Error(err)
	}
	put(t, l, entry("two", "a"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if segmentlog.Busy(root) {
		t.Error("a closed log is busy")
	}
	changes, err := segmentlog.Repair(root, segmentlog.InspectOptions{}, false)
	if err != nil || len(changes) > 0 {
		t.Errorf("Repair of a closed log returned %v, %v", changes, err)
	}
}

// TestVerifyBesideWriter verifies a log to which another goroutine appends, and from which
// it removes files.
func TestVerifyBesideWriter(t *testing.T) {
	root := t.TempDir()
	l := open(t, root, segmentlog.Options{
		SegmentSize: 20_000, Retention: []segmentlog.Retention{{Bytes: 200_000}},
	})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			r := sse.AppendRequest{}
			for m := range 20 {
				r.Entries = append(r.Entries, entry(strings.Repeat("x", 300), fmt.Sprint("t/", m%7)))
			}
			if n%3 == 0 {
				r.Owner, r.Key = "owner", fmt.Sprint("key ", n)
			}
			if _, err := l.Append(t.Context(), r); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		var damage []segmentlog.Damage
		i, err := segmentlog.Inspect(root, segmentlog.InspectOptions{
			OnDamage: func(d segmentlog.Damage) { damage = append(damage, d) },
		})
		if err != nil {
			t.Errorf("round %d: %v", round, err)
			break
		}
		// Everything is removed before Verify reads it.
		through := end(t, l).Seq + 700
		for end(t, l).Seq < through {
			trim(t, l)
		}
		v, err := i.Verify(t.Context())
		if err != nil || len(damage) > 0 {
			t.Errorf("round %d: %+v, %v, %v", round, v, damage, err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestInspectMemory reads a small log and a large one. The memory does not grow.
func TestInspectMemory(t *testing.T) {
	used := func(groups int) (most uint64) {
		root := t.TempDir()
		l := open(t, root, segmentlog.Options{SegmentSize: 1 << 20})
		var group []sse.Entry
		for n := range 100 {
			group = append(group, entry(strings.Repeat("x", 2000), fmt.Sprint("t/", n%7)))
		}
		for range groups {
			put(t, l, slices.Clone(group)...)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = nil
		before := heapInUse()
		i, err := segmentlog.Inspect(root, segmentlog.InspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		for after := (sse.Position{}); ; {
			page, err := i.Read(t.Context(), sse.ReadRequest{
				After: after, Limit: 1 << 20, Selection: everything,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Entries) == 0 {
				break
			}
			events += len(page.Entries)
			after = page.Next
			most = max(most, heapInUse()-min(before, heapInUse()))
		}
		if events != groups*100 {
			t.Errorf("%d events of %d", events, groups*100)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		return most
	}
	small, large := used(30), used(180) // 6 MB and 36 MB
	if large > small+6<<20 {
		t.Errorf("%d bytes for a log of 6 MB, %d for one of 36 MB", small, large)
	}
}

func isLocked(err error) bool {
	var locked *segmentlog.LockedError
	return errors.As(err, &locked)
}

// heapInUse collects garbage, twice because of [sync.Pool], and returns the bytes of the
// objects that are left.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
