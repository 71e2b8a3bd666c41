package disklog

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is in the log's directory, beside the files in epoch.go and key.go.
const (
	storeName   = "store"
	reserveName = "reserve"
)

// flushDelay is how long what was removed may stay in memory.
const flushDelay = 10 * time.Second

// storeFormat is what the store writes. A newer library keeps to it, so that
// going back to an older one is possible, until this is changed.
const storeFormat = pebble.FormatTableFormatV6

func (l *Log) storeOptions(o *Options) *pebble.Options {
	s := &pebble.Options{
		FS:                  l.space,
		FormatMajorVersion:  storeFormat,
		CacheSize:           o.Cache,
		MaxOpenFiles:        o.OpenFiles,
		MaxManifestFileSize: 4 << 20,
		MemTableSize:        memory(l.overall, o.Reserve),
		// What was removed is to leave the disk also when nothing is written.
		FlushDelayDeleteRange:      flushDelay,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		Logger:                     &storeLogger{l.logger, &l.failed},
	}
	s.Experimental.SpanPolicyFunc = entriesAlone
	for i, table := 0, tableSize(l.overall); i < len(s.TargetFileSizes); i++ {
		s.TargetFileSizes[i] = table << i
	}
	// What was in memory becomes two tables, each of which is synced, not many.
	s.TargetFileSizes[0] = int64(s.MemTableSize)
	for i := range s.Levels {
		// The filters answer for topics that have no entries yet.
		s.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	s.EventListener = &pebble.EventListener{
		// Before the store panics, or tries again for ever.
		BackgroundError: func(error) { l.failed.checkPresence() },
		// A read that meets the damage returns an error; the rest can be read.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.logger.Error("sse: the log is damaged", "dir", l.dir, "what", info.String())
		},
	}
	l.crowd.listen(s.EventListener)
	return s
}

// entriesAlone makes tables end where entries end and indexes begin. Entries come
// in the order of their keys: a table that has nothing else overlaps with no other,
// and goes to its place in the store as it is, instead of being written anew at
// every level with those that it would have indexes in common with.
func entriesAlone(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	if start[0] <= entryKey {
		end = []byte{entryKey + 1}
	}
	return policy, end, nil
}

// memory is how many bytes are appended before they go to a table. With it grows
// the write-ahead log, of which there are some pieces. A reserve must have room
// for all that is in memory when the disk is full, which is twice as much.
func memory(all Retention, reserve int64) uint64 {
	const least, most = 256 << 10, 8 << 20
	size := int64(most)
	if all.Bytes > 0 {
		size = min(size, all.Bytes/48)
	}
	if reserve > 0 {
		size = min(size, reserve/reserves)
	}
	return uint64(max(size, least))
}

// reserves is how many times what is in memory a reserve has.
const reserves = 4

// tableSize is how large the smallest tables become. What is written anew at once
// is a multiple of it, and is there twice meanwhile.
func tableSize(all Retention) int64 {
	const least, most = 256 << 10, 2 << 20
	if all.Bytes == 0 {
		return most
	}
	return min(max(all.Bytes/256, least), most)
}

// makeDir creates a directory, and makes sure that it is there after a crash.
func makeDir(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, fsys.PathDir(dir))
}

// failure is that of the disk, after which nothing is known.
type failure struct {
	ch     chan struct{} // closed when the failure was reported
	err    atomic.Pointer[error]
	once   sync.Once
	fatal  func(error)
	logger *slog.Logger

	presence atomic.Pointer[presence] // whose loss explains other failures
}

// set stores the first failure, reports it, and returns it. Nobody else reports it
// before, because callers wait for ch.
func (f *failure) set(err error) error {
	f.once.Do(func() {
		lost := f.presence.Load().check()
		if lost != nil {
			err = lost
		}
		f.err.Store(&err)
		if lost != nil {
			f.logger.Error(lost.Error())
		} else {
			f.logger.Error("sse: the log's disk has failed; open it again to find out what there is",
				"err", err)
		}
		f.fatal(err)
		close(f.ch)
	})
	return f.cause()
}

// cause returns the failure, if there is one, after it was reported.
func (f *failure) cause() error {
	err := f.err.Load()
	if err == nil {
		return nil
	}
	<-f.ch
	return *err
}

// storeLogger is what the store reports to.
type storeLogger struct {
	logger *slog.Logger
	failed *failure
}

// Infof implements [pebble.Logger].
func (s *storeLogger) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (s *storeLogger) Errorf(format string, args ...any) {
	s.logger.Warn("sse: the log's store: " + fmt.Sprintf(format, args...))
}

// Fatalf implements [pebble.Logger]. It does not return: the store goes on as if
// what failed had been done, and may delete the only good copy of something.
func (s *storeLogger) Fatalf(format string, args ...any) {
	// Some errors of the store print a stack trace after their first line.
	text, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	_ = s.failed.set(errors.New("sse: the log's store: " + text))
	select {}
}
