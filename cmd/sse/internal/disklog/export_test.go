package disklog

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
)

// OpenWithoutSync opens a log that acknowledges what may be lost.
func OpenWithoutSync(dir string, opts *Options) (*Log, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return open(dir, o, true)
}

// Entries is how many entries the log counts, and what they cost.
func (l *Log) Entries() (count, bytes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.count, l.state.bytes
}

// Marks is how many loss marks the log has.
func (l *Log) Marks() int {
	l.losses.mu.RLock()
	defer l.losses.mu.RUnlock()
	return len(l.losses.marks)
}

// Remembered is how many idempotency keys the log counts.
func (l *Log) Remembered() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.remembers
}

// Flush writes what is in memory to tables, so that the write-ahead log begins
// anew.
func (l *Log) Flush() error { return l.db.Flush() }

// Compact gives back all space that can be.
func (l *Log) Compact() error {
	return l.db.Compact(context.Background(), []byte{0}, []byte{0xFF}, false)
}

// StoreSize is what the store has on the disk, as it counts.
func (l *Log) StoreSize() uint64 { return l.db.Metrics().DiskSpaceUsage() }

// StoreMetrics describes the store.
func (l *Log) StoreMetrics() string { return l.db.Metrics().String() }

// Damage spoils the record of an entry in a way that the store does not notice.
func (l *Log) Damage(seq uint64) error {
	key := numberKey(nil, entryKey, seq)
	value, closer, err := l.db.Get(key)
	if err != nil {
		return err
	}
	bad := append([]byte(nil), value...)
	bad[len(bad)-1]++
	return errors.Join(closer.Close(), l.db.Set(key, bad, pebble.Sync))
}

// Times is how many time keys there are.
func (l *Log) Times() (n int, err error) {
	iter, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{timeKey}, UpperBound: []byte{timeKey + 1},
	})
	if err != nil {
		return 0, err
	}
	for valid := iter.First(); valid; valid = iter.Next() {
		n++
	}
	return n, iter.Close()
}

// Rebuild makes a closed log one that has only these entries, in the same epoch:
// as if an old copy of the store had been put in its place. If all is true, of
// everything else as well.
func Rebuild(tb testing.TB, fs vfs.FS, dir string, entries []sse.Entry, all bool) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	was, err := readLife(fs, dir)
	must(err)
	key, err := readSecret(fs, dir)
	must(err)
	must(fs.RemoveAll(fs.PathJoin(dir, storeName)))
	temporary := fs.PathJoin(dir, "temporary")
	log, err := Open(temporary, &Options{FS: fs, Reserve: -1})
	must(err)
	_, err = log.Append(context.Background(), entries...)
	must(err)
	log.mu.Lock()
	log.state.epoch, log.state.keyed = was.epoch, key.fingerprint()
	err = log.db.Set([]byte{logKey}, log.state.encode(nil), pebble.Sync)
	log.mu.Unlock()
	must(err)
	must(log.Close())
	_, err = vfs.Clone(fs, fs, fs.PathJoin(temporary, storeName), fs.PathJoin(dir, storeName))
	must(err)
	must(fs.RemoveAll(temporary))
	if all {
		must(fs.Remove(fs.PathJoin(dir, markName)))
	}
}

// BirthTime is when a file came into being, or zero if nobody says so.
var BirthTime = birthTime

// MakeOld gives a log the state that logs had before they had a key, and closes it.
func (l *Log) MakeOld() error {
	l.mu.Lock()
	state := l.state.encode(nil)
	state = append([]byte{1}, state[1:len(state)-8]...)
	err := l.db.Set([]byte{logKey}, state, pebble.Sync)
	l.mu.Unlock()
	return errors.Join(err, l.Close(), l.space.Remove(l.space.PathJoin(l.dir, keyName)))
}
