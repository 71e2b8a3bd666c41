package segmentlog_test

import (
	"strings"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// disturbed is a file system that is changed before a file is opened.
type disturbed struct {
	*faultfs.FS
	suffix string // of the file
	times  int
	change func()
}

func (d *disturbed) Open(name string) (vfs.File, error) {
	if d.times > 0 && strings.HasSuffix(name, d.suffix) {
		d.times--
		d.change()
	}
	return d.FS.Open(name)
}

// TestSnapshot opens a log while retention removes its files and new ones are created.
func TestSnapshot(t *testing.T) {
	for _, suffix := range []string{"/state", "/mark", "-0.events"} {
		disk := faultfs.New(faultfs.Options{})
		l := open(t, dir, segmentlog.Options{
			FS: disk, SegmentSize: 1000, Retention: []segmentlog.Retention{{Count: 40}},
			Reserve: -1,
		})
		work := func() {
			for range 60 {
				put(t, l, entry(strings.Repeat("x", 100), "a"))
			}
			trim(t, l)
		}
		work()
		d := &disturbed{disk, suffix, 3, work}
		var damage []segmentlog.Damage
		i, err := segmentlog.Inspect(dir, segmentlog.InspectOptions{
			FS: d, OnDamage: func(d segmentlog.Damage) { damage = append(damage, d) },
		})
		if err != nil {
			t.Fatalf("%s: %v", suffix, err)
		}
		work()
		v, err := i.Verify(t.Context())
		if err != nil || len(damage) > 0 || v.Events < 40 || d.times > 0 {
			t.Errorf("%s: Verify returned %+v, %v; damage: %v", suffix, v, err, damage)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
