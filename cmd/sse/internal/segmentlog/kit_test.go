package segmentlog_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/internal/testrand"
	"github.com/sse-go/sse/ssetest"
)

// kitLog is a log in memory for the kit.
type kitLog struct {
	sse.EventLog
	log  *segmentlog.Log
	opts segmentlog.Options
	disk *disk

	mu  sync.Mutex // guards the following
	all []sse.Entry
}

// disk is a file system that can be full once.
type disk struct {
	*faultfs.FS
	fullNext atomic.Bool
}

func (d *disk) Free(string) (uint64, error) {
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
	l.log = open(tb, dir, l.opts)
	l.EventLog = l.log
}

func openKitLog(tb testing.TB, setup ssetest.EventLogSetup, segmentSize int64) sse.EventLog {
	l := &kitLog{disk: &disk{FS: faultfs.New(faultfs.Options{})}}
	for _, rule := range setup.Retention {
		l.opts.Retention = append(l.opts.Retention, segmentlog.Retention{
			Pattern: rule.Pattern, Age: rule.Age, Count: int64(rule.Entries), Bytes: rule.Bytes,
		})
	}
	l.opts.Now = setup.Now
	l.opts.Reserve = -1 // so that the log asks the disk for its free space
	l.opts.SegmentSize = segmentSize
	l.opts.Logger = quiet
	l.open(tb)
	return l
}

// TestEventLog runs the kit. Whenever the kit reopens the log, the machine has crashed:
// it has lost any part of the bytes that the log had not synced.
func TestEventLog(t *testing.T) {
	rng := testrand.New(t)
	for _, size := range []int64{0, 2000} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("SegmentSize %d, Rebuild all %t", size, all), func(t *testing.T) {
				ssetest.TestEventLog(t, ssetest.EventLogOptions{
					Open: func(tb testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
						return openKitLog(tb, setup, size)
					},
					Reopen: func(tb testing.TB, log sse.EventLog) sse.EventLog {
						l := log.(*kitLog)
						left := l.log
						l.disk = &disk{FS: l.disk.Crash(rng)}
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
						segmentlog.Rebuild(tb, l.disk, dir, l.all, all)
						l.open(tb)
						return l
					},
					Fail:    func(log sse.EventLog, _ int) { log.(*kitLog).disk.fullNext.Store(true) },
					Trim:    func(tb testing.TB, log sse.EventLog) { trim(tb, log.(*kitLog).log) },
					ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
					ExactLost: true, Gapless: true, Contiguous: true, Keys: true,
				})
			})
		}
	}
}
