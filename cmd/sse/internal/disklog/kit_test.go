package disklog_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/ssetest"
)

const dir = "/log"

// kitLog is a log in memory, as the kit wants it.
type kitLog struct {
	sse.EventLog
	log  *disklog.Log
	opts disklog.Options
	disk *disk

	mu  sync.Mutex // guards the following
	all []sse.Entry
}

// disk is a file system that can be full once.
type disk struct {
	*vfs.MemFS
	fullNext atomic.Bool
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if d.fullNext.CompareAndSwap(true, false) {
		return vfs.DiskUsage{}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40}, nil
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
	l.log = open(tb, dir, l.opts)
	l.EventLog = l.log.EventLog()
}

func openKitLog(tb testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
	l := &kitLog{disk: &disk{MemFS: vfs.NewCrashableMem()}}
	for _, rule := range setup.Retention {
		l.opts.Retention = append(l.opts.Retention, disklog.Retention{
			Pattern: rule.Pattern, Age: rule.Age, Count: int64(rule.Entries), Bytes: rule.Bytes,
		})
	}
	l.opts.Now = setup.Now
	l.opts.Reserve = -1 // so that it is the disk that is asked for space
	l.open(tb)
	return l
}

// TestEventLog runs the kit. Every time a log is opened again, it has lost its
// process, and all that was not synced.
func TestEventLog(t *testing.T) {
	for _, all := range []bool{false, true} {
		ssetest.TestEventLog(t, ssetest.EventLogOptions{
			Open: openKitLog,
			Reopen: func(tb testing.TB, log sse.EventLog) sse.EventLog {
				l := log.(*kitLog)
				left := l.log
				l.disk = &disk{MemFS: l.disk.CrashClone(vfs.CrashCloneCfg{})}
				if err := left.Close(); err != nil {
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
				disklog.Rebuild(tb, l.disk, dir, l.all, all)
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
