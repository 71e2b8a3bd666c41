package segmentlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/internal/testrand"
)

// fill appends until the log returns an error, which must be that the disk is full.
func fill(t *testing.T, l *segmentlog.Log, rng *rand.Rand, size int) []sse.Entry {
	t.Helper()
	const many = 32 << 10 // bytes at once
	var stored []sse.Entry
	for range 1 << 14 {
		entries := make([]sse.Entry, max(1, many/size))
		for i := range entries {
			entries[i] = entry(noise(rng, size), "a")
		}
		result, err := l.Append(t.Context(), sse.AppendRequest{Entries: entries})
		for i, p := range result.Positions {
			entries[i].Position = p
			stored = append(stored, entries[i])
		}
		if errors.Is(err, syscall.ENOSPC) {
			if len(result.Positions) > 0 {
				t.Errorf("a failed append has stored %d entries", len(result.Positions))
			}
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the disk is never full")
	return nil
}

// hasOnly checks that a log has these entries, and no others.
func hasOnly(t *testing.T, l *segmentlog.Log, stored []sse.Entry) {
	t.Helper()
	if err := contains(l, stored); err != nil {
		t.Error(err)
	}
	if got := len(get(t, l, everything).Entries); got != len(stored) {
		t.Errorf("%d entries, want %d", got, len(stored))
	}
}

// TestFullDisk fills a disk, makes space, and fills it again.
func TestFullDisk(t *testing.T) {
	size, events := 28<<20, []int{4 << 10, 1 << 20}
	if soak {
		size = 96 << 20
	}
	if !testing.Short() {
		events = append(events, 100) // there are many of them
	}
	for _, event := range events {
		t.Run(fmt.Sprint(event), func(t *testing.T) { fullDisk(t, size, event) })
	}
}

// fullDisk fills a disk of size bytes, of which half is taken, with events.
func fullDisk(t *testing.T, size, event int) {
	disk := hubtest.SmallDisk(t, size)
	rng := testrand.New(t)
	others := filepath.Join(disk, "others")
	for _, n := range []string{"1", "2"} {
		if err := os.WriteFile(others+n, []byte(noise(rng, size/4)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts := segmentlog.Options{Reserve: 4 << 20, SegmentSize: 1 << 20, Logger: quiet}
	l := open(t, filepath.Join(disk, "log"), opts)
	stored := fill(t, l, rng, event)
	for range 100 {
		_, err := l.Append(t.Context(), sse.AppendRequest{Entries: []sse.Entry{entry("no", "a")}})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("append to a full disk: %v", err)
		}
	}
	if err := l.CheckSpace(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("CheckSpace of a full disk: %v", err)
	}
	hasOnly(t, l, stored)
	follows(t, l, stored)
	if err := os.Remove(others + "1"); err != nil {
		t.Fatal(err)
	}
	for err := l.CheckSpace(); err != nil && t.Context().Err() == nil; err = l.CheckSpace() {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	stored = append(stored, untilStored(t, l, rng))
	stored = append(stored, fill(t, l, rng, event)...)
	hasOnly(t, l, stored)

	// The log can be closed and opened while the disk is full.
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l = open(t, filepath.Join(disk, "log"), opts)
		hasOnly(t, l, stored)
	}
	if err := os.Remove(others + "2"); err != nil {
		t.Fatal(err)
	}
	stored = append(stored, untilStored(t, l, rng))
	hasOnly(t, l, stored)
}

// untilStored appends until the log finds out that there is space.
func untilStored(t *testing.T, l *segmentlog.Log, rng *rand.Rand) sse.Entry {
	t.Helper()
	for t.Context().Err() == nil {
		e := entry(noise(rng, 20), "a")
		result, err := l.Append(t.Context(), sse.AppendRequest{Entries: []sse.Entry{e}})
		if err == nil {
			e.Position = result.Positions[0]
			return e
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	t.Fatal("there is space, and nothing is stored")
	return sse.Entry{}
}

// follows checks that Follow yields these entries.
func follows(t *testing.T, l *segmentlog.Log, stored []sse.Entry) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for e, err := range l.Follow(ctx, sse.ReadRequest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position != stored[n].Position {
			t.Fatalf("Follow: %s, want %s", show(e), show(stored[n]))
		}
		if n++; n == len(stored) {
			return
		}
	}
}

// TestFullDiskDelete makes space by removing what the log itself has: many segments, or
// only a tail.
func TestFullDiskDelete(t *testing.T) {
	for _, size := range []int64{1 << 20, 64 << 20} {
		t.Run(fmt.Sprint("SegmentSize ", size), func(t *testing.T) {
			disk := hubtest.SmallDisk(t, 24<<20)
			rng := testrand.New(t)
			l := open(t, filepath.Join(disk, "log"), segmentlog.Options{
				Reserve: 4 << 20, SegmentSize: size, Logger: quiet,
			})
			last := put(t, l, entry("other", "b"))
			fill(t, l, rng, 4<<10)
			if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
				t.Fatal(err)
			}
			last = append(last, untilStored(t, l, rng))
			hasOnly(t, l, last)
		})
	}
}
