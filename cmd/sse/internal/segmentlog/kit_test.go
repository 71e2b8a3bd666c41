package segmentlog_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
	"github.com/sse-go/sse/ssetest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// kitLog is a log for the kit.
type kitLog struct {
	sse.EventLog
	log  *segmentlog.Log
	opts segmentlog.Options
	disk *disk
	dir  string

	mu  sync.Mutex // guards the following
	all []sse.Entry
}

type disk struct {
	vfs.FS
	fullNext atomic.Bool
}

func (d *disk) Free(dir string) (uint64, error) {
	if d.fullNext.CompareAndSwap(true, false) {
		return 0, nil
	}
	return 1 << 40, nil
}

func (l *kitLog) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	result, err := l.EventLog.Append(ctx, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Entries[:len(result.Positions)]...)
	return result, err
}

func (l *kitLog) open(tb testing.TB) {
	l.opts.FS = l.disk
	l.opts.Logger = quiet
	log, err := segmentlog.Open(l.dir, &l.opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { log.Close() })
	l.log, l.EventLog = log, log
}

func TestEventLog(t *testing.T) {
	for _, size := range []int64{0, 2000} {
	for _, all := range []bool{false, true} {
		ssetest.TestEventLog(t, ssetest.EventLogOptions{
			Open: func(tb testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
				l := &kitLog{disk: &disk{FS: vfs.OS}, dir: tb.TempDir()}
				l.opts.SegmentSize = size
				for _, rule := range setup.Retention {
					l.opts.Retention = append(l.opts.Retention, segmentlog.Retention{
						Pattern: rule.Pattern, Age: rule.Age, Count: int64(rule.Entries), Bytes: rule.Bytes,
					})
				}
				l.opts.Now = setup.Now
				l.opts.Reserve = -1
				l.open(tb)
				return l
			},
			Reopen: func(tb testing.TB, log sse.EventLog) sse.EventLog {
				l := log.(*kitLog)
				if err := l.log.Close(); err != nil {
					tb.Error(err)
				}
				l.open(tb)
				return l
			},
			Lose: func(tb testing.TB, log sse.EventLog, n int) sse.EventLog {
				l := log.(*kitLog)
				if err := l.log.Close(); err != nil {
					tb.Error(err)
				}
				l.all = slices.Clone(l.all[:len(l.all)-n])
				segmentlog.Rebuild(tb, l.disk, l.dir, l.all, all)
				l.open(tb)
				return l
			},
			Fail: func(log sse.EventLog, _ int) { log.(*kitLog).disk.fullNext.Store(true) },
			Trim: func(tb testing.TB, log sse.EventLog) {
				if err := log.(*kitLog).log.Trim(); err != nil {
					tb.Error(err)
				}
			},
			ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
			ExactLost: true, Gapless: true, Contiguous: true, Keys: true,
		})
	}
	}
}

var _, _ = os.Stat, filepath.Join
