package disklog

import (
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// trim is the goroutine that removes what retention does not keep: when commit
// says that there is too much, and from time to time what has become too old.
func (l *Log) trim() {
	var tick <-chan time.Time
	if period := l.agingPeriod(); period > 0 {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		tick = ticker.C
	}
	whole := true
	for {
		if err := l.trimNow(whole); err != nil && err != ErrClosed {
			l.logger.Error("sse: the log's retention", "dir", l.dir, "err", err)
		}
		whole = false
		select {
		case <-l.due.wake:
		case <-tick:
			whole = true
		case <-l.closing:
			return
		case <-l.failed.ch:
			return
		}
	}
}

// agingPeriod is how often to look for what is too old.
func (l *Log) agingPeriod() time.Duration {
	const soonest, latest = time.Second, time.Minute
	youngest := l.window
	for _, rule := range l.rules {
		youngest = strictest(youngest, rule.Age)
	}
	return min(max(youngest/20, soonest), latest)
}

// wakeTrim tells trim about the bytes of a group that was kept.
func (l *Log) wakeTrim(state *logState, bytes int64) {
	if l.due.any() || l.exceeds(state) || state.remembers > l.keys.limit {
		l.lag.add(bytes)
		l.due.now()
	}
}

// exceeds reports whether the whole log has more than it may have.
func (l *Log) exceeds(s *logState) bool {
	return l.overall.Count > 0 && s.count > uint64(l.overall.Count) ||
		l.overall.Bytes > 0 && s.bytes > uint64(l.overall.Bytes)
}

// Trim removes what retention does not keep. The log does so by itself; Trim
// does it now, and when it returns nil, what it has removed does not come back.
func (l *Log) Trim() error {
	if err := l.trimNow(true); err != nil {
		return err
	}
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	return l.db.LogData(nil, pebble.Sync)
}

// trimNow is Trim without a sync: what is lost of it is done again. Only the whole
// of it gives back all space.
func (l *Log) trimNow(whole bool) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	behind := l.lag.get()
	defer l.lag.caughtUp(behind)
	steps := []func() error{l.trimTopics, l.trimOverall, l.trimByAge, l.forgetKeys, l.moveFirst}
	if whole {
		steps = append(steps, l.drop)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// trimTopics trims the topics that have more than they may have.
func (l *Log) trimTopics() error {
	topics, all := l.due.take()
	for topic := range topics {
		if err := l.trimTopic(topic); err != nil {
			return err
		}
	}
	if !all || len(l.rules) == 0 {
		return nil
	}
	from := ""
	for {
		some, err := l.topicsThatExceed(from)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, topic := range some {
			if err := l.trimTopic(topic); err != nil {
				return err
			}
		}
		from = some[len(some)-1] + "\x00"
	}
}

// topicsThatExceed finds some topics, in order, that have more than they may have.
func (l *Log) topicsThatExceed(from string) ([]string, error) {
	const chunk = 1024
	iter, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: textKey(nil, stateKey, from), UpperBound: []byte{stateKey + 1},
	})
	if err != nil {
		return nil, err
	}
	var some []string
	var s topicState
	for valid := iter.First(); valid && len(some) < chunk; valid = iter.Next() {
		topic := string(iter.Key()[1:])
		if err := s.decode(iter.Value()); err != nil {
			iter.Close()
			return nil, err
		}
		if s.rule = ruleOf(l.rules, topic); s.exceeds() {
			some = append(some, topic)
		}
	}
	return some, iter.Close()
}

// trimTopic moves the topic's cut to where its rule allows what comes after.
func (l *Log) trimTopic(topic string) error {
	for {
		l.mu.Lock()
		s, err := l.topics.look(topic)
		if err != nil {
			l.mu.Unlock()
			return err
		}
		now := *s
		l.mu.Unlock()
		if !now.exceeds() {
			return nil
		}
		beyond, err := l.members(topic, now.cut+1, now.last, func(d *doomed) bool {
			if !now.exceeds() {
				return false
			}
			now.count--
			now.bytes -= uint64(d.cost)
			return true
		})
		if err != nil {
			return err
		}
		if len(beyond) == 0 {
			return errState // it has fewer entries than it says
		}
		if err := l.cut(topic, beyond); err != nil {
			return err
		}
	}
}

// members reads a topic's entries from a number on, for as long as more wants
// them, and not more than are to be removed at once.
func (l *Log) members(
	topic string, from, upto uint64, more func(*doomed) bool,
) ([]doomed, error) {
	members, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: memberKey(nil, topic, from), UpperBound: memberKey(nil, topic, upto+1),
	})
	if err != nil {
		return nil, err
	}
	defer members.Close()
	entries, err := l.entries(from, upto)
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	f := finder{iter: entries}
	var found []doomed
	bytes := int64(0)
	for valid := members.First(); valid && !enough(found, bytes); valid = members.Next() {
		seq := seqOf(members.Key())
		value, err := f.find(seq)
		if err != nil {
			return nil, err
		}
		d, err := doom(seq, value)
		if err != nil {
			return nil, err
		}
		if !more(&d) {
			break
		}
		bytes += d.cost
		found = append(found, d)
	}
	return found, members.Error()
}

// enough entries are removed at once; so long Append waits.
func enough(found []doomed, bytes int64) bool {
	const chunk, chunkBytes = 512, 4 << 20
	return len(found) == chunk || bytes >= chunkBytes
}

// cut lets a topic do without entries, and removes those that no other topic
// wants.
func (l *Log) cut(topic string, beyond []doomed) error {
	return l.remove(func(r *remover) error {
		s, err := l.topics.get(topic)
		if err != nil {
			return err
		}
		for i := range beyond {
			s.cut = beyond[i].seq
			s.count--
			s.bytes -= uint64(beyond[i].cost)
		}
		now := l.now().UnixNano()
		for i := range beyond {
			wanted, err := l.wantedLocked(&beyond[i], now)
			if err == nil && !wanted {
				err = r.remove(&beyond[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// trimOverall removes the oldest entries, whoever wants them.
func (l *Log) trimOverall() error {
	for {
		l.mu.Lock()
		state := l.state
		l.mu.Unlock()
		if !l.exceeds(&state) {
			return nil
		}
		oldest, err := l.oldest(state.first, state.last.seq, func(d *doomed) bool {
			if !l.exceeds(&state) {
				return false
			}
			state.count--
			state.bytes -= uint64(d.cost)
			return true
		})
		if err != nil {
			return err
		}
		if len(oldest) == 0 {
			return errState // it has fewer entries than it says
		}
		if err := l.removeOldest(oldest); err != nil {
			return err
		}
	}
}

// oldest reads entries from a number on, for as long as more wants them, and not
// more than are to be removed at once.
func (l *Log) oldest(from, upto uint64, more func(*doomed) bool) ([]doomed, error) {
	if from > upto {
		return nil, nil
	}
	iter, err := l.entries(from, upto)
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	var found []doomed
	bytes := int64(0)
	for valid := iter.First(); valid && !enough(found, bytes); valid = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return nil, err
		}
		d, err := doom(seqOf(iter.Key()), value)
		if err != nil {
			return nil, err
		}
		if !more(&d) {
			break
		}
		bytes += d.cost
		found = append(found, d)
	}
	return found, iter.Error()
}

// removeOldest removes entries before which there are none.
func (l *Log) removeOldest(oldest []doomed) error {
	err := l.remove(func(r *remover) error {
		r.next.first = oldest[len(oldest)-1].seq + 1
		r.hide = true
		return r.removeAll(oldest)
	})
	if err != nil {
		return err
	}
	return l.dropIfMuch(oldest)
}

// Delete removes all entries of a topic that were kept when it was called, from
// their other topics as well. When it returns nil, they do not come back.
func (l *Log) Delete(ctx context.Context, topic string) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	upto := l.published.Load().seq
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		entries, err := l.members(topic, 0, upto, func(*doomed) bool { return true })
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		if err := l.remove(func(r *remover) error { return r.removeAll(entries) }); err != nil {
			return err
		}
	}
	// What was removed gives its space back when the store has it in a table.
	if _, err := l.db.AsyncFlush(); err != nil {
		return err
	}
	return l.db.LogData(nil, pebble.Sync)
}
