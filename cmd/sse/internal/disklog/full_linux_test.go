package disklog_test

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
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
	"github.com/sse-go/sse/internal/testrand"
)

// fill appends until the log refuses, which it must do because the disk is full.
func fill(t *testing.T, l *disklog.Log, rng *rand.Rand, size int) []sse.Entry {
	t.Helper()
	const many = 32 << 10 // bytes at once
	var kept []sse.Entry
	for range 1 << 14 {
		entries := make([]sse.Entry, max(1, many/size))
		for i := range entries {
			entries[i] = entry(noise(rng, size), "a")
		}
		positions, err := l.Append(t.Context(), entries...)
		for i, p := range positions {
			entries[i].Position = p
			kept = append(kept, entries[i])
		}
		if errors.Is(err, syscall.ENOSPC) {
			return kept
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the disk is never full")
	return nil
}

// keeps checks that a log has these entries, and no others.
func keeps(t *testing.T, l *disklog.Log, kept []sse.Entry) {
	t.Helper()
	if err := holds(l, kept, 0); err != nil {
		t.Error(err)
	}
	if got := len(get(t, l, everything).Entries); got != len(kept) {
		t.Errorf("%d entries, want %d", got, len(kept))
	}
}

// TestFullDisk fills a disk, makes space, and fills it again.
func TestFullDisk(t *testing.T) {
	size, events := 28<<20, []int{4 << 10, 1 << 20}
	if soak {
		size = 96 << 20
	}
	if !testing.Short() {
		events = append(events, 100) // of which there are many
	}
	for _, event := range events {
		t.Run(fmt.Sprint(event), func(t *testing.T) { fullDisk(t, size, event) })
	}
}

// fullDisk fills a disk of so many bytes, half of which others have, with events.
func fullDisk(t *testing.T, size, event int) {
	disk := hubtest.SmallDisk(t, size)
	rng := testrand.New(t)
	others := filepath.Join(disk, "others")
	for _, n := range []string{"1", "2"} {
		if err := os.WriteFile(others+n, []byte(noise(rng, size/4)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts := disklog.Options{Reserve: 4 << 20, Logger: quiet}
	l := open(t, filepath.Join(disk, "log"), opts)
	kept := fill(t, l, rng, event)
	for range 100 {
		if _, err := l.Append(t.Context(), entry("no", "a")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("append to a full disk: %v", err)
		}
	}
	if err := l.CheckSpace(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("CheckSpace of a full disk: %v", err)
	}
	keeps(t, l, kept)
	follows(t, l, kept)
	if err := os.Remove(others + "1"); err != nil {
		t.Fatal(err)
	}
	for err := l.CheckSpace(); err != nil && t.Context().Err() == nil; err = l.CheckSpace() {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	kept = append(kept, untilKept(t, l))
	kept = append(kept, fill(t, l, rng, event)...)
	keeps(t, l, kept)

	// It can be closed when the disk is full. To open it takes space again.
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.CheckSpace(); !errors.Is(err, disklog.ErrClosed) {
		t.Errorf("CheckSpace of a closed log: %v", err)
	}
	if err := os.Remove(others + "2"); err != nil {
		t.Fatal(err)
	}
	l = open(t, filepath.Join(disk, "log"), opts)
	keeps(t, l, kept)
	kept = append(kept, untilKept(t, l))
	keeps(t, l, kept)
}

// untilKept appends until the log finds out that there is space.
func untilKept(t *testing.T, l *disklog.Log) sse.Entry {
	t.Helper()
	for t.Context().Err() == nil {
		e := entry(noise(shared, 20), "a")
		positions, err := l.Append(t.Context(), e)
		if err == nil {
			e.Position = positions[0]
			return e
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	t.Fatal("there is space, and nothing is kept")
	return sse.Entry{}
}

// follows checks that Follow yields these entries.
func follows(t *testing.T, l *disklog.Log, kept []sse.Entry) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for e, err := range l.Follow(ctx, sse.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position != kept[n].Position {
			t.Fatalf("Follow: %s, want %s", show(e), show(kept[n]))
		}
		if n++; n == len(kept) {
			return
		}
	}
}

// TestFullDiskDelete makes space by removing what the log itself has.
func TestFullDiskDelete(t *testing.T) {
	disk := hubtest.SmallDisk(t, 32<<20)
	l := open(t, filepath.Join(disk, "log"), disklog.Options{Reserve: 8 << 20, Logger: quiet})
	fill(t, l, testrand.New(t), 4<<10)
	if err := l.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	kept := untilKept(t, l)
	keeps(t, l, []sse.Entry{kept})
}
