package segmentlog_test

import (
	"fmt"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
)

// Delete leaves the entries after the position that it is given.
func TestDeleteThrough(t *testing.T) {
	l := open(t, dir, segmentlog.Options{FS: faultfs.New(faultfs.Options{}), Reserve: -1})
	put(t, l, entry("1", "a"), entry("2", "b"))
	through := put(t, l, entry("3", "a"))[0].Position
	last := put(t, l, entry("4", "b"), entry("5", "a"))[1].Position
	for _, test := range []struct {
		through sse.Position
		want    string
	}{{sse.Position{Epoch: through.Epoch}, "1 3 5"}, {through, "5"}, {last, ""}} {
		if err := l.Delete(t.Context(), "a", test.through); err != nil {
			t.Fatal(err)
		}
		a, b := data(get(t, l, topics("a"))), data(get(t, l, topics("b")))
		if a != test.want || b != "2 4" {
			t.Errorf("through %v: a has %q, want %q; b has %q", test.through, a, test.want, b)
		}
	}
}

func TestDelete(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1, SegmentSize: 20_000}
	l := open(t, dir, opts)
	for i := range 1500 {
		put(t, l, entry(fmt.Sprint(i), "a"), entry(fmt.Sprint("b", i), "b"))
	}
	both := put(t, l, entry("both", "a", "b"))[0]
	if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
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
		opts.FS = fsys.CrashClean()
		l = open(t, dir, opts)
	}
	if err := l.Delete(t.Context(), "no such", sse.Position{}); err != nil {
		t.Error(err)
	}
}

// TestDeleteIsStable crashes as soon as Delete has returned.
func TestDeleteIsStable(t *testing.T) {
	fsys := faultfs.New(faultfs.Options{})
	opts := segmentlog.Options{FS: fsys, Reserve: -1}
	l := open(t, dir, opts)
	put(t, l, entry("1", "a"), entry("2", "b"))
	if err := l.Delete(t.Context(), "a", sse.Position{}); err != nil {
		t.Fatal(err)
	}
	opts.FS = fsys.CrashClean()
	if got := data(get(t, open(t, dir, opts), everything)); got != "2" {
		t.Errorf("after the crash, the log has %q, want 2", got)
	}
}
