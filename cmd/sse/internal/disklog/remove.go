package disklog

import (
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// doomed is an entry that may be removed.
type doomed struct {
	place
	nano   int64
	topics []string // distinct
	id     string
	cost   int64
}

// doom reads what is needed to remove an entry.
func doom(seq uint64, value []byte) (doomed, error) {
	h, err := viewHead(value)
	if err != nil {
		return doomed{}, err
	}
	d := doomed{
		place: place{seq, h.sum}, nano: h.nano,
		id: strings.Clone(h.id), cost: costOf(len(value), h.topics, h.id),
	}
	d.topics = distinct(h.topics)
	for i, topic := range d.topics {
		d.topics[i] = strings.Clone(topic)
	}
	return d, nil
}

// wantedLocked reports whether one of an entry's topics wants it.
// l.mu is held.
func (l *Log) wantedLocked(d *doomed, now int64) (bool, error) {
	for _, topic := range d.topics {
		s, err := l.topics.look(topic)
		if err != nil {
			return false, err
		}
		if s.rule == nil {
			return true, nil
		}
		if d.seq > s.cut && (s.rule.Age == 0 || d.nano >= now-int64(s.rule.Age)) {
			return true, nil
		}
	}
	return false, nil
}

// remover removes entries in one batch.
type remover struct {
	l     *Log
	batch *pebble.Batch
	next  logState
	marks map[string]lossMark
	hide  bool      // the records are left to drop
	run   [2]uint64 // entries that follow each other, and are removed: from, to
	key   []byte
}

// remove has f remove entries, and writes that. It is not synced: if it is lost,
// the entries are there again, and the loss marks are not.
// l.trimming is held, l.mu is not.
func (l *Log) remove(f func(*remover) error) error {
	select {
	case <-l.closing:
		return ErrClosed // there may be much to do
	default:
	}
	batch := l.db.NewBatch()
	defer batch.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &remover{l: l, batch: batch, next: l.state, marks: map[string]lossMark{}}
	err := f(r)
	if err == nil {
		err = r.endRun()
	}
	if err == nil {
		r.next.lost, err = l.losses.add(batch, r.marks)
	}
	if err == nil {
		err = l.topics.write(batch)
	}
	if err == nil {
		err = l.applyLocked(batch, r.next)
	}
	if err != nil {
		l.topics.forget()
	}
	return err
}

// applyLocked writes a batch that makes next the log's state.
func (l *Log) applyLocked(batch *pebble.Batch, next logState) error {
	if err := l.failed.cause(); err != nil {
		return err
	}
	if err := batch.Set([]byte{logKey}, next.encode(nil), nil); err != nil {
		return err
	}
	if err := l.db.Apply(batch, pebble.NoSync); err != nil {
		return err
	}
	l.state = next
	l.first.Store(next.first)
	return nil
}

// remove removes an entry.
func (r *remover) remove(d *doomed) error {
	for _, topic := range d.topics {
		s, err := r.l.topics.get(topic)
		if err != nil {
			return err
		}
		s.kept--
		if d.seq > s.cut {
			s.count--
			s.bytes -= uint64(d.cost)
		}
		r.marks[topic] = newer(r.marks[topic], lossMark{d.place, d.nano})
		r.key = memberKey(r.key, topic, d.seq)
		if err := r.batch.Delete(r.key, nil); err != nil {
			return err
		}
	}
	if d.id != "" {
		r.key = namedKey(r.key, hashOf(d.id), d.seq)
		if err := r.batch.Delete(r.key, nil); err != nil {
			return err
		}
	}
	r.next.count--
	r.next.bytes -= uint64(d.cost)
	if r.hide {
		return nil
	}
	if r.run[1]+1 != d.seq {
		if err := r.endRun(); err != nil {
			return err
		}
		r.run[0] = d.seq
	}
	r.run[1] = d.seq
	return nil
}

func (r *remover) removeAll(entries []doomed) error {
	for i := range entries {
		if err := r.remove(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// endRun deletes the records of entries that follow each other. If these are
// many, it does so in a way that lets the store drop whole tables.
func (r *remover) endRun() error {
	const many = 8
	from, to := r.run[0], r.run[1]
	r.run = [2]uint64{}
	if to == 0 {
		return nil
	}
	if to-from >= many {
		return r.batch.DeleteRange(
			numberKey(nil, entryKey, from), numberKey(nil, entryKey, to+1), nil)
	}
	for seq := from; seq <= to; seq++ {
		r.key = numberKey(r.key, entryKey, seq)
		if err := r.batch.Delete(r.key, nil); err != nil {
			return err
		}
	}
	return nil
}

// moveFirst notes that there are no entries before a number any more, so that
// nobody goes over what was removed.
func (l *Log) moveFirst() error {
	l.mu.Lock()
	first, last := l.state.first, l.state.last.seq
	l.mu.Unlock()
	if first > last {
		return nil
	}
	iter, err := l.entries(first, last)
	if err != nil {
		return err
	}
	now := last + 1
	if iter.First() {
		now = seqOf(iter.Key())
	}
	if err := iter.Close(); err != nil {
		return err
	}
	if now-first < timeEvery {
		return nil
	}
	l.undropped++
	return l.remove(func(r *remover) error {
		r.next.first = now
		return nil
	})
}
