package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Retention by age goes over the log once for each age that a rule has, a little
// every time: a sweep is at the newest entry that is as old as that. What it
// passes and some other topic wants is looked at again when that one's time has
// come.
//
// A sweep ends at the first entry that is not as old, although one after it may
// be: an entry with a time in the future keeps those after it from growing old.

// trimByAge removes what is too old.
func (l *Log) trimByAge() error {
	if err := l.loadSweeps(); err != nil {
		return err
	}
	for _, age := range l.ages() {
		if err := l.sweep(age); err != nil {
			return err
		}
	}
	return nil
}

// ages are those of the rules.
func (l *Log) ages() []time.Duration {
	ages := []time.Duration{}
	for _, rule := range l.rules {
		if rule.Age > 0 {
			ages = append(ages, rule.Age)
		}
	}
	slices.Sort(ages)
	return slices.Compact(ages)
}

// sweep looks at the entries that have become as old as age.
func (l *Log) sweep(age time.Duration) error {
	for {
		l.mu.Lock()
		state := l.state
		l.mu.Unlock()
		now := l.now().UnixNano()
		from := max(l.sweeps[age]+1, state.first)
		old, err := l.oldest(from, state.last.seq, func(d *doomed) bool {
			return d.nano < now-int64(age)
		})
		if err != nil || len(old) == 0 {
			return err
		}
		if err := l.sweepThese(age, old, now); err != nil {
			return err
		}
	}
}

func (l *Log) sweepThese(age time.Duration, old []doomed, now int64) error {
	reached := old[len(old)-1].seq
	err := l.remove(func(r *remover) error {
		for i := range old {
			d := &old[i]
			tooOld := l.overall.Age > 0 && d.nano < now-int64(l.overall.Age)
			wanted, err := l.wantedLocked(d, now)
			if err == nil && (tooOld || !wanted) {
				err = r.remove(d)
			}
			if err != nil {
				return err
			}
		}
		return r.batch.Set([]byte{sweepKey}, l.encodeSweeps(age, reached), nil)
	})
	if err == nil {
		l.sweeps[age] = reached
	}
	return err
}

// The value of the key of sweeps: a hash of the rules, and an age and a number
// for each. With other rules they begin anew.

func (l *Log) encodeSweeps(age time.Duration, reached uint64) []byte {
	value := binary.BigEndian.AppendUint64(nil, l.rulesHash())
	for _, other := range l.ages() {
		seq := l.sweeps[other]
		if other == age {
			seq = reached
		}
		value = binary.BigEndian.AppendUint64(value, uint64(other))
		value = binary.BigEndian.AppendUint64(value, seq)
	}
	return value
}

func (l *Log) loadSweeps() error {
	if l.sweeps != nil {
		return nil
	}
	sweeps := map[time.Duration]uint64{}
	value, closer, err := l.db.Get([]byte{sweepKey})
	if errors.Is(err, pebble.ErrNotFound) {
		l.sweeps = sweeps
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(value)%16 != 8 {
		return fmt.Errorf("%w: sweeps", errState)
	}
	if binary.BigEndian.Uint64(value) == l.rulesHash() {
		for value = value[8:]; len(value) > 0; value = value[16:] {
			age := time.Duration(binary.BigEndian.Uint64(value))
			sweeps[age] = binary.BigEndian.Uint64(value[8:])
		}
	}
	l.sweeps = sweeps
	return nil
}

func (l *Log) rulesHash() uint64 {
	h := fnv.New64a()
	for _, rule := range l.rules {
		_, _ = fmt.Fprintf(h, "%q %d %d %d\n", rule.Pattern.String(), rule.Age, rule.Count, rule.Bytes)
	}
	return h.Sum64()
}
