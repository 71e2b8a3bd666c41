package segmentlog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
)

// once returns a request of alice with a key.
func once(key, body string, entries ...sse.Entry) sse.AppendRequest {
	return sse.AppendRequest{
		Owner: "alice", Key: key, Digest: sha256.Sum256([]byte(body)), Entries: entries,
	}
}

// clock is a clock that tests set.
type clock struct{ nano atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nano.Load()) }
func (c *clock) advance(d time.Duration) { c.nano.Add(int64(d)) }

// checkOnce appends a request, and checks whether it is replayed.
func checkOnce(t *testing.T, l *segmentlog.Log, r sse.AppendRequest, replayed bool) []sse.Position {
	t.Helper()
	result, err := l.Append(t.Context(), r)
	if err != nil || result.Replayed != replayed || len(result.Positions) != len(r.Entries) {
		t.Errorf("%s of %s: %+v, %v, want Replayed %t", r.Key, r.Owner, result, err, replayed)
	}
	return result.Positions
}

// checkRemembered checks how many keys the log remembers.
func checkRemembered(t *testing.T, l *segmentlog.Log, want int) {
	t.Helper()
	trim(t, l)
	if got, err := l.Remembered(); got != want || err != nil {
		t.Errorf("%d keys are remembered, %v, want %d", got, err, want)
	}
}

// TestAppendOnce repeats a request whose key is in the tail, and in a key file.
func TestAppendOnce(t *testing.T) {
	for _, size := range []int64{0, 1} {
		t.Run(fmt.Sprint("SegmentSize ", size), func(t *testing.T) { appendOnce(t, size) })
	}
}

func appendOnce(t *testing.T, segmentSize int64) {
	fsys := faultfs.New(faultfs.Options{})
	now := &clock{}
	now.advance(time.Hour)
	opts := segmentlog.Options{
		FS: fsys, Reserve: -1, Now: now.now, KeyWindow: time.Hour, SegmentSize: segmentSize,
	}
	l := open(t, dir, opts)
	first := checkOnce(t, l, once("k", "1", entry("1", "a"), entry("2", "b")), false)
	again := func(when string, l *segmentlog.Log) {
		t.Helper()
		got := checkOnce(t, l, once("k", "1", entry("1", "a"), entry("2", "b")), true)
		if !slices.Equal(got, first) {
			t.Errorf("%s: %v, want %v", when, got, first)
		}
		_, err := l.Append(t.Context(), once("k", "2", entry("3", "a")))
		var other *sse.FieldError
		if !errors.As(err, &other) || other.Field != "key" || other.Value != "k" {
			t.Errorf("%s, another body: %v", when, err)
		}
		if n := len(get(t, l, everything).Entries); n != 2 {
			t.Errorf("%s: %d entries", when, n)
		}
	}
	again("at once", l)

	opts.FS = fsys.CrashClean()
	l = open(t, dir, opts)
	again("after a crash", l)

	other := once("k", "1", entry("bob's", "a"))
	other.Owner = "bob"
	checkOnce(t, l, other, false)
	checkRemembered(t, l, 2)
	now.advance(time.Hour)
	checkRemembered(t, l, 0)
	checkOnce(t, l, once("k", "2", entry("new", "a")), false)
}

// TestAppendOnceExpired uses a key again that is too old, but is still stored.
func TestAppendOnceExpired(t *testing.T) {
	for _, size := range []int64{0, 1} {
		now := &clock{}
		l := open(t, dir, segmentlog.Options{
			FS: faultfs.New(faultfs.Options{}), Reserve: -1, Now: now.now, KeyWindow: time.Hour,
			SegmentSize: size,
		})
		for i := range 3 {
			r := once("k", fmt.Sprint(i), entry("1", "a"))
			checkOnce(t, l, r, false)
			now.advance(40 * time.Minute)
			checkOnce(t, l, r, true)
			now.advance(30 * time.Minute)
		}
		checkRemembered(t, l, 0)
	}
}

// TestAppendOnceConcurrently repeats requests before there is an answer.
func TestAppendOnceConcurrently(t *testing.T) {
	var logged messages
	l := open(t, dir, segmentlog.Options{
		FS: faultfs.New(faultfs.Options{}), Reserve: -1, Keys: 10, SegmentSize: 2000,
		Logger: logged.logger(),
	})
	const keys, tries = 100, 10
	var got [keys][tries][]sse.Position
	var firsts atomic.Int64
	for k := range keys {
		var all sync.WaitGroup
		for i := range tries {
			all.Go(func() {
				r, err := l.Append(t.Context(), once(fmt.Sprint(k), "body", entry("x", "a")))
				if err != nil {
					t.Error(err)
				}
				if !r.Replayed {
					firsts.Add(1)
				}
				got[k][i] = r.Positions
			})
		}
		all.Wait() // or the log would forget a key before the request is repeated
	}
	if n := firsts.Load(); n != keys {
		t.Errorf("%d were appended, want %d", n, keys)
	}
	for k := range got {
		for i := range got[k] {
			if !slices.Equal(got[k][i], got[k][0]) {
				t.Errorf("key %d: %v and %v", k, got[k][i], got[k][0])
			}
		}
	}
	checkRemembered(t, l, 10)
	const report = "access key alice used more than 10 idempotency keys in 24h0m0s"
	if n := strings.Count(logged.String(), report); n != 1 {
		t.Errorf("the log has logged %q, want one report", logged.String())
	}
}

// TestAppendOnceFails lets the first of two requests fail, so that the second one must
// be stored.
func TestAppendOnceFails(t *testing.T) {
	disk := &disk{FS: faultfs.New(faultfs.Options{})}
	l := open(t, dir, segmentlog.Options{FS: disk, Reserve: -1})
	disk.fullNext.Store(true)
	if _, err := l.Append(t.Context(), once("k", "1", entry("1", "a"))); err == nil {
		t.Error("an entry was stored on a full disk")
	}
	checkOnce(t, l, once("k", "1", entry("1", "a")), false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Append(ctx, once("l", "1", entry("1", "a")))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	checkOnce(t, l, once("l", "1", entry("1", "a")), false)
}

// TestAppendOnceOwners lets one owner have too many keys: the keys of the others stay.
func TestAppendOnceOwners(t *testing.T) {
	for _, size := range []int64{0, 2000} {
		t.Run(fmt.Sprint("SegmentSize ", size), func(t *testing.T) { appendOnceOwners(t, size) })
	}
}

func appendOnceOwners(t *testing.T, segmentSize int64) {
	var logged messages
	opts := segmentlog.Options{
		FS: faultfs.New(faultfs.Options{}), Reserve: -1, Keys: 10, SegmentSize: segmentSize,
		Logger: logged.logger(),
	}
	l := open(t, dir, opts)
	check := func(owner, key string, replayed bool) {
		t.Helper()
		r := once(key, "body", entry("x", "a"))
		r.Owner = owner
		checkOnce(t, l, r, replayed)
	}
	for round := range 3 {
		check("bob", "order-1", round > 0)
		check("", "order-1", round > 0)
		for i := range 25 {
			check("alice", fmt.Sprint(round, " ", i), false)
		}
		checkRemembered(t, l, 12)
		check("alice", fmt.Sprint(round, " 24"), true)
		check("alice", fmt.Sprint(round, " 15"), true)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, opts)
	}
	// Each process reports alice once.
	if strings.Contains(logged.String(), "bob") ||
		strings.Count(logged.String(), "access key alice used more than 10") != 3 {
		t.Errorf("the log has logged %q", logged.String())
	}
}

// TestKeyFiles removes the entries that were stored with keys. The files with the keys
// remain until their keys are forgotten.
func TestKeyFiles(t *testing.T) {
	fsys, now := faultfs.New(faultfs.Options{}), &clock{}
	now.advance(time.Hour)
	opts := segmentlog.Options{
		FS: fsys, Reserve: -1, Now: now.now, KeyWindow: time.Hour, SegmentSize: 1,
		Retention: []segmentlog.Retention{{Count: 1}},
	}
	l := open(t, dir, opts)
	for i := range 10 {
		now.advance(time.Minute)
		checkOnce(t, l, once(fmt.Sprint(i), "x", entry("x", "a")), false)
	}
	checkRemembered(t, l, 10)
	// The last segment is the tail, and is empty.
	if s, k := files(fsys, ".events"), files(fsys, ".keys"); len(s) != 2 || len(k) != 10 {
		t.Errorf("there are the segments %v and the key files %v", s, k)
	}
	for range 2 {
		checkOnce(t, l, once("0", "x", entry("x", "a")), true)
		checkOnce(t, l, once("9", "x", entry("x", "a")), true)
		l, _ = reopenWith(t, l, opts)
	}
	now.advance(time.Hour - 5*time.Minute)
	checkRemembered(t, l, 5)
	if k := files(fsys, ".keys"); len(k) != 5 {
		t.Errorf("there are the key files %v, want 5", k)
	}
	checkOnce(t, l, once("9", "x", entry("x", "a")), true)
	checkOnce(t, l, once("0", "x", entry("x", "a")), false)
}

// reopenWith closes a log and opens it with other options.
func reopenWith(t *testing.T, l *segmentlog.Log, opts segmentlog.Options) (*segmentlog.Log, error) {
	t.Helper()
	err := l.Close()
	if err != nil {
		t.Error(err)
	}
	return open(t, dir, opts), err
}

// TestKeyFileAgain seals a segment only at the second attempt, when it has more keys.
func TestKeyFileAgain(t *testing.T) {
	disk := &refusing{FS: faultfs.New(faultfs.Options{})}
	l := open(t, dir, segmentlog.Options{FS: disk, Reserve: -1, SegmentSize: 1, Logger: quiet})
	disk.refuse(".events.new")
	checkOnce(t, l, once("1", "x", entry("x", "a")), false) // its key is in a key file now
	disk.refuse("")
	checkOnce(t, l, once("2", "x", entry("x", "a")), false)
	if k := files(disk.FS, ".keys"); len(k) != 1 {
		t.Errorf("there are the key files %v, want 1", k)
	}
	for _, key := range []string{"1", "2"} {
		checkOnce(t, l, once(key, "x", entry("x", "a")), true)
	}
}
