package segmentlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

// crashModel has the entries that a log must contain.
type crashModel struct {
	requests []crashRequest
	rules    []segmentlog.Retention
	now      time.Time
	opened   int // requests that were there when the log was opened
	settled  int // requests that were there when the log was opened before
}

// crashRequest is a call of Append. The data of entry i of request n begins with "n.i ".
type crashRequest struct {
	entries []sse.Entry // without positions; at most 64
	state   requestState
	at      []sse.Position // of a stored request; Check is zero if it is unknown
	doomed  uint64         // entries that may be missing, as bits
	gone    uint64         // entries that must not be there again, as bits

	key    string // empty: none
	keyed  time.Time
	replay bool // false: another request has the key now
}

type requestState int

const (
	pending requestState = iota // Append has not returned
	stored
	failed // the log must not have the entries
)

func (m *crashModel) clone() crashModel {
	c := *m
	c.requests = slices.Clone(m.requests)
	return c
}

// entryOf identifies an entry of the model by its data.
func (m *crashModel) entryOf(e *sse.Entry) (n, i int, err error) {
	number, rest, _ := strings.Cut(e.Event.Data, ".")
	part, _, _ := strings.Cut(rest, " ")
	n, err = strconv.Atoi(number)
	if err == nil {
		i, err = strconv.Atoi(part)
	}
	if err != nil || n < 0 || n >= len(m.requests) || i < 0 || i >= len(m.requests[n].entries) {
		return 0, 0, fmt.Errorf("an event that nobody appended: %.40q", e.Event.Data)
	}
	return n, i, nil
}

// check compares an entry that the log has returned with the model.
func (m *crashModel) check(e *sse.Entry) (n, i int, err error) {
	n, i, err = m.entryOf(e)
	if err != nil {
		return 0, 0, err
	}
	r := &m.requests[n]
	want := &r.entries[i]
	switch {
	case e.Event != want.Event || !slices.Equal(e.Topics, want.Topics) || !e.Time.Equal(want.Time):
		err = fmt.Errorf("%d.%d has another content", n, i)
	case r.state == failed:
		err = fmt.Errorf("%d.%d is there, but its Append has failed", n, i)
	case r.gone&(1<<i) != 0:
		err = fmt.Errorf("%d.%d was removed, and is there again", n, i)
	case r.state == stored && r.at[i].Check != 0 && r.at[i] != e.Position,
		r.state == stored && r.at[i].Seq != e.Position.Seq:
		err = fmt.Errorf("%d.%d has position %v, want %v", n, i, e.Position, r.at[i])
	}
	return n, i, err
}

// learn compares all entries that the log has with the model, and finds out which of
// the pending requests are stored.
func (m *crashModel) learn(all []sse.Entry) (seen map[[2]int]bool, err error) {
	seen = map[[2]int]bool{}
	found := make([][]sse.Position, len(m.requests))
	last := uint64(0)
	for j := range all {
		e := &all[j]
		n, i, err := m.check(e)
		if err != nil {
			return nil, err
		}
		if e.Position.Seq <= last || seen[[2]int{n, i}] {
			return nil, fmt.Errorf("%d.%d at %v is out of order, or twice", n, i, e.Position)
		}
		last, seen[[2]int{n, i}] = e.Position.Seq, true
		if found[n] == nil {
			found[n] = make([]sse.Position, len(m.requests[n].entries))
			for k := range found[n] {
				found[n][k].Seq = e.Position.Seq + uint64(k) - uint64(i)
			}
		}
		if found[n][i].Seq != e.Position.Seq {
			return nil, fmt.Errorf("%d.%d at %v is not beside its request", n, i, e.Position)
		}
		found[n][i] = e.Position
	}
	for n := range m.requests {
		if r := &m.requests[n]; r.state == pending {
			if r.at, r.state = found[n], stored; found[n] == nil {
				r.state = failed
			}
			m.setKey(n)
		}
	}
	return seen, nil
}

// setKey notes that a request with a key was stored.
func (m *crashModel) setKey(n int) {
	r := &m.requests[n]
	if r.key == "" || r.state != stored {
		return
	}
	for other := range m.requests {
		if m.requests[other].key == r.key {
			m.requests[other].replay = false
		}
	}
	r.replay = true
}

// mayMiss reports whether a rule or a Delete can have removed an entry. A rule with a
// Count or Bytes removes an entry only if there are enough newer ones.
func (m *crashModel) mayMiss(n, i int) bool {
	r := &m.requests[n]
	if (r.doomed|r.gone)&(1<<i) != 0 {
		return true
	}
	e := &r.entries[i]
	for j := range m.rules {
		rule := &m.rules[j]
		if rule.Pattern == (sse.Pattern{}) && m.exceeded(rule, e, r.at[i].Seq, "") {
			return true
		}
	}
	for _, topic := range e.Topics {
		j := slices.IndexFunc(m.rules, func(r segmentlog.Retention) bool {
			return r.Pattern.Match(topic)
		})
		if j < 0 || !m.exceeded(&m.rules[j], e, r.at[i].Seq, topic) {
			return false
		}
	}
	return true
}

// exceeded reports whether a rule can have removed an entry of a topic. A request that was
// pending, and is missing, may have been stored and removed by the same rule.
func (m *crashModel) exceeded(
	rule *segmentlog.Retention, e *sse.Entry, seq uint64, topic string,
) bool {
	if rule.Age > 0 && m.now.Sub(e.Time) > rule.Age {
		return true
	}
	newer, bytes := int64(0), size(e)
	for n := range m.requests {
		r := &m.requests[n]
		for i := range r.entries {
			other := &r.entries[i]
			isNewer := r.state == stored && r.at[i].Seq > seq ||
				r.state != stored && n >= m.settled
			if isNewer && (topic == "" || slices.Contains(other.Topics, topic)) {
				newer++
				bytes += size(other)
			}
		}
	}
	return rule.Count > 0 && newer >= rule.Count || rule.Bytes > 0 && bytes > rule.Bytes
}

// size is at least the cost of an entry.
func size(e *sse.Entry) int64 {
	n := len(e.Event.Data) + len(e.Event.ID) + 64
	for _, topic := range e.Topics {
		n += len(topic)
	}
	return int64(n)
}

// each calls f for the entries of the requests that are stored.
func (m *crashModel) each(f func(r *crashRequest, n, i int) error) error {
	for n := range m.requests {
		r := &m.requests[n]
		for i := range r.entries {
			if r.state != stored {
				break
			}
			if err := f(r, n, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// damageLog remembers the errors that a log reports.
type damageLog struct {
	mu     sync.Mutex // guards the following
	said   []string
	warned string // the last warning
}

func (d *damageLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (d *damageLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Level >= slog.LevelError {
		d.said = append(d.said, text)
	} else {
		d.warned = text
	}
	return nil
}

func (d *damageLog) WithAttrs([]slog.Attr) slog.Handler { return d }
func (d *damageLog) WithGroup(string) slog.Handler      { return d }

// take returns the errors since the last call.
func (d *damageLog) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	said := d.said
	d.said = nil
	return said
}
