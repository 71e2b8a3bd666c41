package sse

import (
	"context"
	"fmt"
	"time"
)

// read implements Broker.Read for a selection that was checked.
func (st *state) read(ctx context.Context, sel Selection, start Start, limit int) (Page, error) {
	if sel.isDefault() {
		sel.Topics = defaultTopics
	}
	read := st.readWindow
	if st.log != nil {
		read = st.readLog
	}
	page, err := read(ctx, sel, start, limit)
	if start.Earliest || start.Last > 0 {
		page.Lost = Position{} // such a start names no event that can be missing
	}
	return page, err
}

// readLog reads from the log, even if the window has the entries too.
func (st *state) readLog(ctx context.Context, sel Selection, start Start, limit int) (
	Page, error) {
	at, err := st.log.Locate(ctx, start, sel)
	var page Page
	if err == nil {
		page, err = st.log.Read(ctx, ReadRequest{After: at.Next, Selection: sel, Limit: limit})
	}
	if err != nil {
		return Page{}, fmt.Errorf("sse: Broker.Log: %w", err)
	}
	page.Gap = at.Gap
	return page, nil
}

// readWindow reads from the window (the events in memory). It serves a broker without a
// log.
func (st *state) readWindow(_ context.Context, sel Selection, start Start, limit int) (
	Page, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	after, gap := st.window.locate(start, &sel, now)
	page := st.window.read(after, Position{}, &sel, limit, now)
	page.Gap = gap
	return page, nil
}

// forget implements Broker.Forget. It does nothing if through belongs to another
// epoch.
func (st *state) forget(topic string, through Position) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t := st.window.topics[topic]
	if t == nil || through.Epoch != st.window.epoch {
		return
	}
	var removed []*entry // collected first, because removing an entry moves the others
	for _, it := range t.items[t.first:] {
		if it.seq > through.Seq {
			break
		}
		if !it.removed {
			removed = append(removed, it.entry)
		}
	}
	for _, e := range removed {
		for _, chain := range st.window.chainsOf(e) {
			// With a log, window.remove does not call markLost. But this entry is
			// lost, because the application has also removed it from the log.
			st.window.markLost(chain, e)
		}
		st.window.remove(e)
	}
}
