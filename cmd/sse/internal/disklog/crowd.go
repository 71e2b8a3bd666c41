package disklog

import "github.com/cockroachdb/pebble/v2"

// crowd holds up Append while the store has too much on the disk, and is working
// on having less: what was removed stays there until tables are written anew,
// and those that are written need space of their own meanwhile.
type crowd struct {
	limit int64 // bytes; zero: none
	step  int64 // so many are appended between two looks

	appended int64  // since the last look; used by commit alone
	less     signal // there may be less
}

func newCrowd(all Retention) crowd {
	if all.Bytes == 0 {
		return crowd{}
	}
	const some, least = 1 << 20, 12 << 20
	return crowd{limit: all.Bytes + max(all.Bytes/5, least), step: max(all.Bytes/128, some)}
}

// listen makes the store say when it is done with something.
func (c *crowd) listen(to *pebble.EventListener) {
	to.CompactionEnd = func(pebble.CompactionInfo) { c.less.broadcast() }
	to.FlushEnd = func(pebble.FlushInfo) { c.less.broadcast() }
	to.TableDeleted = func(pebble.TableDeleteInfo) { c.less.broadcast() }
	to.WALDeleted = func(pebble.WALDeleteInfo) { c.less.broadcast() }
}

// waitForRoom waits while the store is too large, and is working on that. It
// looks at the files themselves: what the store counts leaves some out.
func (l *Log) waitForRoom(bytes int64) error {
	c := &l.crowd
	if c.appended += bytes; c.limit == 0 || c.appended < c.step {
		return nil
	}
	c.appended = 0
	for {
		less := c.less.wait()
		if l.storeSize() <= c.limit || !l.isBusy() {
			return nil
		}
		select {
		case <-less:
		case <-l.closing:
			return ErrClosed
		case <-l.failed.ch:
			return l.failed.cause()
		}
	}
}

// isBusy reports whether the store is writing tables.
func (l *Log) isBusy() bool {
	m := l.db.Metrics()
	return m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0
}

// storeSize is what the store's files have.
func (l *Log) storeSize() int64 {
	dir := l.space.PathJoin(l.dir, storeName)
	names, err := l.space.List(dir)
	if err != nil {
		return 0
	}
	size := int64(0)
	for _, name := range names {
		if info, err := l.space.Stat(l.space.PathJoin(dir, name)); err == nil {
			size += info.Size() // or it was removed meanwhile
		}
	}
	return size
}
