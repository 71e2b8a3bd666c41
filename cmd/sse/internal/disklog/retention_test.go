package disklog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// inMemory opens a log in memory.
func inMemory(tb testing.TB, now *clock, rules ...disklog.Retention) *disklog.Log {
	return open(tb, dir, disklog.Options{
		FS: vfs.NewMem(), Reserve: -1, Now: now.now, Retention: rules,
	})
}

// data is what a page's entries say.
func data(page sse.Page) string {
	var all []string
	for _, e := range page.Entries {
		all = append(all, e.Event.Data)
	}
	return strings.Join(all, " ")
}

func trim(tb testing.TB, l *disklog.Log) {
	tb.Helper()
	if err := l.Trim(); err != nil {
		tb.Fatal(err)
	}
}

// TestRetentionOfEach shows that a rule is about each topic on its own, and that
// the first which matches counts.
func TestRetentionOfEach(t *testing.T) {
	l := inMemory(t, &clock{},
		disklog.Retention{Pattern: pattern("a/1"), Count: 1},
		disklog.Retention{Pattern: pattern("a/*"), Count: 2},
		disklog.Retention{Pattern: pattern("b/*"), Bytes: 250},
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
		if told := page.Lost.Seq != 0; told != (topic != "c") {
			t.Errorf("lost of %s: %v", topic, page.Lost)
		}
	}
}

// TestRetentionOfSeveralTopics shows that an event stays for as long as one of
// its topics keeps it, whichever lets go of it last, and why.
func TestRetentionOfSeveralTopics(t *testing.T) {
	now := &clock{}
	l := inMemory(t, now,
		disklog.Retention{Pattern: pattern("few"), Count: 2},
		disklog.Retention{Pattern: pattern("many"), Count: 5},
		disklog.Retention{Pattern: pattern("hour"), Age: time.Hour},
		disklog.Retention{Pattern: pattern("day"), Age: 24 * time.Hour},
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
	add("kept", "few", "no rule")
	add("aged", "few", "hour")
	add("slow", "hour", "day")
	for i := range 4 {
		add(fmt.Sprint(i), "few")
	}
	check("few", "both kept aged 2 3", true) // 0 and 1 are gone
	check("many", "both", false)
	now.advance(time.Hour + 1)
	check("few", "both kept 2 3", true) // aged was kept by hour alone
	check("hour", "slow", true)
	for i := range 5 {
		add(fmt.Sprint(i), "many")
	}
	check("many", "0 1 2 3 4", true)
	check("few", "kept 2 3", true)
	check("no rule", "kept", false)
	check("day", "slow", false)
	now.advance(24 * time.Hour)
	check("day", "", true)
	check("hour", "", true)
	if count, bytes := l.Entries(); count != 8 || bytes == 0 {
		t.Errorf("%d entries of %d bytes are counted", count, bytes)
	}
	for _, topic := range []string{"few", "many", "no rule"} {
		if err := l.Delete(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	if count, bytes := l.Entries(); count != 0 || bytes != 0 {
		t.Errorf("of nothing, %d entries of %d bytes are counted", count, bytes)
	}
}

// TestRetentionChanges opens a log with other rules.
func TestRetentionChanges(t *testing.T) {
	disk := vfs.NewMem()
	with := func(rules ...disklog.Retention) *disklog.Log {
		return open(t, dir, disklog.Options{FS: disk, Reserve: -1, Retention: rules})
	}
	l := with()
	for i := range 2000 {
		put(t, l, entry(fmt.Sprint(i), fmt.Sprint("t/", i%100)))
	}
	for _, c := range []struct {
		rule disklog.Retention
		want uint64
	}{
		{disklog.Retention{Pattern: pattern("t/*"), Count: 15}, 1500},
		{disklog.Retention{Pattern: pattern("t/7"), Count: 5}, 1490},
		{disklog.Retention{Count: 100}, 100},
		{disklog.Retention{}, 100},
		{disklog.Retention{Age: time.Nanosecond}, 0},
	} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = with(c.rule)
		trim(t, l)
		if count, _ := l.Entries(); count != c.want || len(get(t, l, everything).Entries) != int(c.want) {
			t.Errorf("%+v: %d entries, want %d", c.rule, count, c.want)
		}
	}
}

// TestLossMarks shows that marks are bounded, and that what is merged is told to
// more, not to fewer.
func TestLossMarks(t *testing.T) {
	const limit = 10
	disk := vfs.NewMem()
	opts := disklog.Options{
		FS: disk, Reserve: -1, LossMarks: limit, Retention: []disklog.Retention{{Count: 1}},
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
				t.Errorf("%d is removed; told %d", e.Position.Seq, lost.Seq)
			}
			if i >= 99-limit/2 && i < 99 && lost != e.Position {
				t.Errorf("%v was removed lately; told %v", e.Position, lost)
			}
		}
		if lost := get(t, l, everything).Lost; lost != all[98].Position {
			t.Errorf("of everything, told %v, want %v", lost, all[98].Position)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, dir, opts)
	}
}

func TestDelete(t *testing.T) {
	disk := vfs.NewCrashableMem()
	opts := disklog.Options{FS: disk, Reserve: -1}
	l := open(t, dir, opts)
	for i := range 1500 {
		put(t, l, entry(fmt.Sprint(i), "a"), entry(fmt.Sprint("b", i), "b"))
	}
	both := put(t, l, entry("both", "a", "b"))[0]
	if err := l.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(t, l, entry("new", "a"))
	for range 2 {
		a, b := get(t, l, topics("a")), get(t, l, topics("b"))
		if data(a) != "new" || len(b.Entries) != 1500 {
			t.Errorf("a has %q, b has %d", data(a), len(b.Entries))
		}
		if a.Lost != both.Position || b.Lost != both.Position {
			t.Errorf("lost: %v and %v, want %v", a.Lost, b.Lost, both.Position)
		}
		opts.FS = disk.CrashClone(vfs.CrashCloneCfg{})
		l = open(t, dir, opts)
	}
	if err := l.Delete(t.Context(), "no such"); err != nil {
		t.Error(err)
	}
}

// TestTimesAreForgotten removes entries, oldest first or by their topic.
func TestTimesAreForgotten(t *testing.T) {
	for _, rule := range []disklog.Retention{{Count: 100}, {Pattern: pattern("a"), Count: 100}} {
		l := inMemory(t, &clock{}, rule)
		for range 50 {
			some := make([]sse.Entry, 1000)
			for i := range some {
				some[i] = entry("x", "a")
			}
			put(t, l, some...)
			trim(t, l)
		}
		if n, err := l.Times(); err != nil || n > 5 {
			t.Errorf("%+v: %d time keys, %v", rule, n, err)
		}
	}
}

// TestRetentionGivesSpaceBack publishes three times what may be kept.
func TestRetentionGivesSpaceBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	limit := int64(8 << 20)
	if soak {
		limit = 100 << 20
	}
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{
		Reserve: -1, Retention: []disklog.Retention{{Bytes: limit}},
	})
	batch := make([]sse.Entry, 256)
	for range 3 * int(limit) / (len(batch) << 10) {
		for i := range batch {
			batch[i] = entry(noise(shared, 1<<10), fmt.Sprint("t/", i%64))
		}
		put(t, l, batch...)
		if size := sizeOfDir(t, dir); size > 4*limit {
			t.Fatalf("the directory has %d bytes", size)
		}
	}
	trim(t, l)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, bytes := l.Entries(); bytes > uint64(limit) || bytes < uint64(limit)/2 {
		t.Errorf("%d bytes are kept", bytes)
	}
	if err := l.Compact(); err != nil {
		t.Fatal(err)
	}
	if size := l.StoreSize(); size > 2*uint64(limit) {
		t.Errorf("%d bytes are on the disk", size)
	}
}
