package disklog

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// drop gives the space of the oldest entries back. Until then they are only out
// of sight, before logState.first. Deleting them one by one would write more, and
// give the space back when the store comes round to it; so whole tables go.
//
// What says that they are gone has to be kept first.
// l.trimming is held.
func (l *Log) drop() error {
	first := l.first.Load()
	if l.undropped == 0 || first <= 1 {
		return nil
	}
	if err := l.db.LogData(nil, pebble.Sync); err != nil {
		return err
	}
	span := pebble.KeyRange{
		Start: numberKey(nil, entryKey, 0), End: numberKey(nil, entryKey, first),
	}
	if err := l.db.Excise(context.Background(), span); err != nil {
		return err
	}
	l.undropped = 0
	// The times of these entries, of which there are few. One before the first
	// entry may be that of entries which are kept.
	from, to := numberKey(nil, timeKey, 0), numberKey(nil, timeKey, first-1)
	return l.db.DeleteRange(from, to, pebble.NoSync)
}

// dropEvery is how many bytes are dropped at once.
func dropEvery(all Retention) int64 {
	const least, most = 1 << 20, 4 << 20
	if all.Bytes == 0 {
		return most
	}
	return min(max(all.Bytes/32, least), most)
}

// dropIfMuch is drop, if it is worth it.
func (l *Log) dropIfMuch(removed []doomed) error {
	for i := range removed {
		l.undropped += removed[i].cost
	}
	if l.undropped < dropEvery(l.overall) {
		return nil
	}
	return l.drop()
}
