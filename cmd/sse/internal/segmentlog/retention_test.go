package segmentlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
)

// inMemory opens a log with small segments in memory.
func inMemory(tb testing.TB, now *clock, rules ...segmentlog.Retention) *segmentlog.Log {
	return open(tb, dir, segmentlog.Options{
		FS: faultfs.New(faultfs.Options{}), Reserve: -1, Now: now.now, SegmentSize: 500,
		Retention: rules,
	})
}

// TestRetentionOfEach shows that a rule applies to each topic on its own, and that the
// first rule that matches counts.
func TestRetentionOfEach(t *testing.T) {
	l := inMemory(t, &clock{},
		segmentlog.Retention{Pattern: pattern("a/1"), Count: 1},
		segmentlog.Retention{Pattern: pattern("a/*"), Count: 2},
		segmentlog.Retention{Pattern: pattern("b/*"), Bytes: 150},
	)
	for i := range 5 {
		for _, topic := range []string{"a/1", "a/2", "a/3", "b/1", "b/2", "c"} {
			put(t, l, entry(fmt.Sprint(i), topic))
		}
	}
	trim(t, l)
	for topic, want := range map[string]string{
		"a/1": "4", "a/2": "3 4", "a/3": "3 4", "b/1": "2 3 4", "b/2": "2 3 4", "c": "0 1 2 3 4",
	} {
		page := get(t, l, topics(topic))
		if got := data(page); got != want {
			t.Errorf("%s has %q, want %q", topic, got, want)
		}
		if lost := page.Lost.Seq != 0; lost != (topic != "c") {
			t.Errorf("lost of %s: %v", topic, page.Lost)
		}
	}
}

// TestRetentionOfSeveralTopics shows that an event remains as long as one of its topics
// needs it, whatever the order in which the topics stop to need it.
func TestRetentionOfSeveralTopics(t *testing.T) {
	now := &clock{}
	l := inMemory(t, now,
		segmentlog.Retention{Pattern: pattern("few"), Count: 2},
		segmentlog.Retention{Pattern: pattern("many"), Count: 5},
		segmentlog.Retention{Pattern: pattern("hour"), Age: time.Hour},
		segmentlog.Retention{Pattern: pattern("day"), Age: 24 * time.Hour},
	)
	add := func(data string, topics ...string) {
		put(t, l, sse.Entry{Time: now.now(), Topics: topics, Event: sse.Event{Data: data}})
	}
	check := func(topic, want string, lost bool) {
		t.Helper()
		trim(t, l)
		page := get(t, l, topics(topic))
		if got := data(page); got != want || lost != (page.Lost.Seq != 0) {
			t.Errorf("%s has %q, lost %v, want %q", topic, got, page.Lost, want)
		}
	}
	now.advance(48 * time.Hour)
	add("both", "few", "many")
	add("stays", "few", "no rule")
	add("aged", "few", "hour")
	add("slow", "hour", "day")
	for i := range 4 {
		add(fmt.Sprint(i), "few")
	}
	check("few", "both stays aged 2 3", true) // 0 and 1 are removed
	check("many", "both", false)
	now.advance(time.Hour + 1)
	check("few", "both stays 2 3", true) // only hour needed aged
	check("hour", "slow", true)
	for i := range 5 {
		add(fmt.Sprint(i), "many")
	}
	check("many", "0 1 2 3 4", true)
	check("few", "stays 2 3", true)
	check("no rule", "stays", false)
	check("day", "slow", false)
	now.advance(24 * time.Hour)
	check("day", "", true)
	check("hour", "", true)
	if entries, bytes := l.Entries(); entries != 8 || bytes == 0 {
		t.Errorf("%d entries of %d bytes are counted", entries, bytes)
	}
	for _, topic := range []string{"few", "many", "no rule"} {
		if err := l.Delete(t.Context(), topic, sse.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	if entries, bytes := l.Entries(); entries != 0 || bytes != 0 {
		t.Errorf("of nothing, %d entries of %d bytes are counted", entries, bytes)
	}
}

// TestLossMarks shows that the marks are bounded, and that the log reports the loss of a
// merged mark to more readers, not to fewer.
func TestLossMarks(t *testing.T) {
	const limit = 10
	opts := segmentlog.Options{
		FS: faultfs.New(faultfs.Options{}), Reserve: -1, LossMarks: limit, SegmentSize: 500,
		Retention: []segmentlog.Retention{{Count: 1}},
	}
	l := open(t, dir, opts)
	all := []sse.Entry{}
	for i := range 100 {
		all = append(all, put(t, l, entry(fmt.Sprint(i), fmt.Sprint("t/", i)))...)
		trim(t, l)
		if n := l.Marks(); n > limit {
			t.Fatalf("%d marks", n)
		}
	}
	for range 2 {
		for i, e := range all {
			lost := get(t, l, topics(e.Topics...)).Lost
			if i < 99 && lost.Seq < e.Position.Seq {
				t.Errorf("%d is removed; lost: %d", e.Position.Seq, lost.Seq)
			}
			if i >= 99-limit/2 && i < 99 && lost != e.Position {
				t.Errorf("%v was removed lately; lost: %v", e.Position, lost)
			}
		}
		if lost := get(t, l, everything).Lost; lost != all[98].Position {
			t.Errorf("lost of everything: %v, want %v", lost, all[98].Position)
		}
		l, _ = reopenWith(t, l, opts)
	}
}

// hundred appends a hundred entries to topics, one segment each ten.
func hundred(t *testing.T, l *segmentlog.Log, topic func(i int) string) {
	t.Helper()
	for i := range 10 {
		batch := make([]sse.Entry, 10)
		for j := range batch {
			batch[j] = entry(fmt.Sprint(10*i+j), topic(10*i+j))
		}
		put(t, l, batch...)
	}
}

// TestRewrite removes more than half of some segments.
func TestRewrite(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 300}
	l := open(t, dir, opts)
	hundred(t, l, func(i int) string {
		switch {
		case i/10 == 3 && i > 33, i/10 == 5 && i > 55: // six of ten, and four of ten
			return "a"
		}
		return "b"
	})
	before := files(fsys, ".events")
	if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	want := slices.Clone(before)
	want[3] = "00000000000000000031-1.events"
	if after := files(fsys, ".events"); !slices.Equal(after, want) {
		t.Errorf("the segments are %v, were %v", after, before)
	}
	for range 2 {
		page := get(t, l, everything)
		if n := len(page.Entries); n != 90 || page.Lost.Seq != 60 {
			t.Errorf("%d entries, lost %v, want 90 and 60", n, page.Lost)
		}
		if entries, _ := l.Entries(); entries != 90 {
			t.Errorf("%d entries are counted, want 90", entries)
		}
		opts.FS = fsys.CrashClean()
		l = open(t, dir, opts)
	}
}

// TestSmallSegments shows that many small segments become one.
func TestSmallSegments(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 1}
	l := open(t, dir, opts)
	hundred(t, l, func(int) string { return "a" })
	opts.SegmentSize = 1 << 20
	l, _ = reopenWith(t, l, opts)
	trim(t, l)
	if got := files(fsys, ".events"); len(got) != 2 {
		t.Errorf("the segments are %v, want 2", got)
	}
	if n := len(get(t, l, everything).Entries); n != 100 {
		t.Errorf("%d entries, want 100", n)
	}
}

// TestRetentionGivesSpaceBack publishes three times what the log may have.
func TestRetentionGivesSpaceBack(t *testing.T) {
	limit := 1 << 20
	if soak {
		limit = 100 << 20
	}
	fsys := faultfs.New(faultfs.Options{})
	rng := testrand.New(t)
	l := open(t, dir, segmentlog.Options{
		FS: fsys, Reserve: -1, Retention: []segmentlog.Retention{{Bytes: int64(limit)}},
	})
	batch := make([]sse.Entry, 64)
	for range 3 * limit / (len(batch) << 10) {
		for i := range batch {
			batch[i] = entry(noise(rng, 1<<10), fmt.Sprint("t/", i%64))
		}
		put(t, l, batch...)
		if size := bytesIn(fsys, ""); size > 4*limit {
			t.Fatalf("the directory has %d bytes", size)
		}
	}
	trim(t, l)
	if _, bytes := l.Entries(); bytes > uint64(limit) || bytes < uint64(limit)/2 {
		t.Errorf("%d bytes are stored", bytes)
	}
	if size := bytesIn(fsys, ""); size > limit+limit/4 {
		t.Errorf("the directory has %d bytes", size)
	}
}

// TestRetentionChanges opens a log with other rules.
func TestRetentionChanges(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	with := func(rules ...segmentlog.Retention) *segmentlog.Log {
		return open(t, dir, segmentlog.Options{
			FS: fsys, Reserve: -1, Retention: rules, SegmentSize: 4000,
		})
	}
	l := with()
	for i := range 2000 {
		put(t, l, entry(fmt.Sprint(i), fmt.Sprint("t/", i%100)))
	}
	for _, c := range []struct {
		rule segmentlog.Retention
		want uint64
	}{
		{segmentlog.Retention{Pattern: pattern("t/*"), Count: 15}, 1500},
		{segmentlog.Retention{Pattern: pattern("t/7"), Count: 5}, 1490},
		{segmentlog.Retention{Count: 100}, 100},
		{segmentlog.Retention{}, 100},
		{segmentlog.Retention{Age: time.Nanosecond}, 0},
	} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = with(c.rule)
		trim(t, l)
		entries, _ := l.Entries()
		if n := len(get(t, l, everything).Entries); entries != c.want || n != int(c.want) {
			t.Errorf("%+v: %d entries, %d counted, want %d", c.rule, n, entries, c.want)
		}
	}
}

// TestRetentionCountsOnce removes the last entries of a topic for another reason than
// its own rule, and then an entry that the rule did not count any more.
func TestRetentionCountsOnce(t *testing.T) {
	l := inMemory(t, &clock{},
		segmentlog.Retention{Pattern: pattern("few"), Count: 2, Bytes: 1000},
		segmentlog.Retention{Pattern: pattern("many"), Count: 3},
	)
	put(t, l, entry(strings.Repeat("x", 300), "few", "many"))
	put(t, l, entry("1", "few", "other"), entry("2", "few", "other"))
	trim(t, l) // now, the rule of few does not need the first entry
	if err := l.Delete(t.Context(), "other", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	put(t, l, entry("3", "few"), entry("4", "few"))
	put(t, l, entry("5", "many"), entry("6", "many"), entry("7", "many"))
	trim(t, l) // now, many does not need the first entry
	if got := data(get(t, l, everything)); got != "3 4 5 6 7" {
		t.Errorf("the log has %.50q", got)
	}
	put(t, l, entry("8", "few"))
	trim(t, l)
	if got := data(get(t, l, topics("few"))); got != "4 8" {
		t.Errorf("few has %q, want 4 8", got)
	}
}

// TestRewriteLarge removes most of a segment that is much larger than usual, and after
// it most of a small one.
func TestRewriteLarge(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	l := open(t, dir, segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 100})
	batch := make([]sse.Entry, 100)
	for i := range batch {
		if batch[i] = entry(fmt.Sprint(i), "a"); i >= 70 {
			batch[i].Topics[0] = "b"
		}
	}
	put(t, l, batch...)
	put(t, l, batch[65:75]...)
	before := bytesIn(fsys, ".events")
	if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	if after := bytesIn(fsys, ".events"); after > before/2 {
		t.Errorf("the segments have %d bytes, had %d", after, before)
	}
	if n := len(get(t, l, everything).Entries); n != 35 {
		t.Errorf("%d entries, want 35", n)
	}
}

// TestRemoveSegments removes whole segments at the beginning, and between others that
// are rewritten.
func TestRemoveSegments(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 300}
	l := open(t, dir, opts)
	hundred(t, l, func(i int) string {
		if i < 30 || i/10 == 6 || i/10 == 5 && i != 50 || i/10 == 7 && i != 70 {
			return "a"
		}
		return "b"
	})
	if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	want := []string{
		"00000000000000000031-0.events", "00000000000000000041-0.events",
		"00000000000000000051-1.events", // has become one with 61 and 71
		"00000000000000000081-0.events", "00000000000000000091-0.events",
		"00000000000000000101-0.events",
	}
	for range 2 {
		if got := files(fsys, ".events"); !slices.Equal(got, want) {
			t.Errorf("the segments are %v, want %v", got, want)
		}
		if n := len(get(t, l, everything).Entries); n != 42 {
			t.Errorf("%d entries, want 42", n)
		}
		l, _ = reopenWith(t, l, opts)
	}
	if err := l.Delete(t.Context(), "b", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	if got := files(fsys, ".events"); !slices.Equal(got, want[5:]) {
		t.Errorf("of an empty log, the segments are %v, want %v", got, want[5:])
	}
	if next := put(t, l, entry("x", "a"))[0].Position.Seq; next != 101 {
		t.Errorf("the next number is %d, want 101", next)
	}
}

// TestRemoveSegmentsLater lets the log fail to write that segments are removed. It
// removes them as soon as it can write.
func TestRemoveSegmentsLater(t *testing.T) {
	disk := &refusing{FS: faultfs.New(faultfs.Options{})}
	l := open(t, dir, segmentlog.Options{FS: disk, Reserve: -1, SegmentSize: 300, Logger: quiet})
	hundred(t, l, func(int) string { return "a" })
	disk.refuse(".new")
	if err := l.Delete(t.Context(), "a", sse.Position{}); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Delete without the state: %v", err)
	}
	for range 2 {
		if err := l.Trim(); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("Trim without the state: %v", err)
		}
	}
	disk.refuse("")
	trim(t, l)
	if got := files(disk.FS, ".events"); len(got) != 1 {
		t.Errorf("the segments are %v, want 1", got)
	}
}

// TestRemoveLastSegment removes the segment before the tail. Open does not take it for a
// segment that was lost.
func TestRemoveLastSegment(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	l := open(t, dir, segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 1})
	put(t, l, entry("1", "a"))
	put(t, l, entry("2", "b"))
	if err := l.Delete(t.Context(), "b", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	trim(t, l)
	l, logged := reopen(t, l, fsys, dir)
	if page := get(t, l, topics("a")); page.Lost.Seq != 0 || logged != "" {
		t.Errorf("lost of a: %v; logged %q", page.Lost, logged)
	}
}

// TestLag lets the goroutine that removes entries wait, until Append waits for it. When
// it continues, it needs a new tail, which the goroutine that appends must give it.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate atomic.Pointer[chan struct{}]
		fsys := faultfs.New(faultfs.Options{})
		l := open(t, dir, segmentlog.Options{
			FS: fsys, Reserve: -1, SegmentSize: 1 << 30,
			Retention: []segmentlog.Retention{{Count: 1, Bytes: 1 << 20, Age: time.Hour}},
			Now: func() time.Time {
				if closed := gate.Load(); closed != nil {
					<-*closed
				}
				return time.Now()
			},
		})
		large := strings.Repeat("x", 300<<10)
		closed := make(chan struct{})
		gate.Store(&closed)
		put(t, l, entry(large, "a"), entry("x", "a"))
		synctest.Wait()
		appended := make(chan struct{})
		go func() {
			for range 10 {
				put(t, l, entry(large, "a"))
			}
			close(appended)
		}()
		synctest.Wait()
		select {
		case <-appended:
			t.Error("Append does not wait")
		default:
		}
		gate.Store(nil)
		close(closed)
		select {
		case <-appended:
		case <-time.After(time.Minute):
			t.Fatal("Append and the goroutine that removes entries wait for each other")
		}
		trim(t, l)
		if size := bytesIn(fsys, ".events"); size >= 3*len(large) { // of eleven
			t.Errorf("the segments have %d bytes", size)
		}
	})
}
