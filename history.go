package sse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// PublishAll publishes several events, in order, and returns their positions; with
// a Log that costs little more than one. The Position and the Time of the entries
// are ignored. Topics may be empty, as for [Broker.Publish].
//
// All entries are checked before the first is published: a [*FieldError] says that
// none was. On any other error, those whose positions are returned were published,
// and of the others, if ctx is done, some may have been.
func (b *Broker) PublishAll(ctx context.Context, entries ...Entry) ([]Position, error) {
	if b.Log != nil {
		return b.publishAllLog(ctx, entries)
	}
	drafts := takeDrafts(len(entries))
	defer giveDrafts(drafts)
	for i := range entries {
		d := &(*drafts)[i]
		event := entries[i].Event
		var err error
		if d.topics, err = checkDraft(&event, entries[i].Topics); err != nil {
			return nil, err
		}
		event = normal(event)
		d.draft = newDraft(&event, d.topics)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	c, err := b.start(ctx)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	positions := make([]Position, len(entries))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrShutdown
	}
	now := time.Now()
	for i := range *drafts {
		d := &(*drafts)[i]
		e := c.win.publish(&d.draft, d.topics, now)
		positions[i] = e.position(c.win.epoch)
		c.announce(e)
	}
	return positions, nil
}

// topicDraft is a draft and its topics, each once.
type topicDraft struct {
	draft
	topics []string
}

// draftPool has those of PublishAll: they are as much memory as small events.
var draftPool sync.Pool

func takeDrafts(n int) *[]topicDraft {
	drafts, ok := draftPool.Get().(*[]topicDraft)
	if !ok {
		drafts = new([]topicDraft)
	}
	*drafts = slices.Grow(*drafts, n)[:n]
	return drafts
}

func giveDrafts(drafts *[]topicDraft) {
	const most = 4096
	clear(*drafts)
	if *drafts = (*drafts)[:0]; cap(*drafts) <= most {
		draftPool.Put(drafts)
	}
}

// publishAllLog is PublishAll with a log.
func (b *Broker) publishAllLog(ctx context.Context, entries []Entry) ([]Position, error) {
	now := time.Now()
	normals := make([]Entry, len(entries))
	for i := range entries {
		event := entries[i].Event
		topics, err := checkDraft(&event, entries[i].Topics)
		if err != nil {
			return nil, err
		}
		normals[i] = Entry{Time: now, Topics: topics, Event: normal(event)}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	c, err := b.start(ctx)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrShutdown
	}
	c.publishing.Add(1)
	c.mu.Unlock()
	defer c.publishing.Done()
	at, err := c.log.Append(ctx, normals...)
	if len(at) > 0 {
		c.await(ctx, at[len(at)-1])
	}
	switch {
	case err == nil && len(at) == len(entries):
		return at, nil
	case err == nil:
		err = errors.New("it kept the events, and did not return their positions")
	}
	return at, fmt.Errorf("sse: Broker.Log: %w", err)
}

// Read returns a page of the events that are kept, without waiting for any: those
// that sel matches from start on, at least one if there is any and otherwise about
// limit bytes of them. Page.Next is the [Start.After] of the page that follows.
// Filter is ignored.
//
// If there is no such start, the error is a [*Gap], and the page begins with the
// earliest event that is kept.
func (b *Broker) Read(ctx context.Context, sel Selection, start Start, limit int) (Page, error) {
	if err := sel.check(); err != nil {
		return Page{}, err
	}
	c, err := b.start(ctx)
	if err != nil {
		return Page{}, err
	}
	if sel.isDefault() {
		sel.Topics = defaultTopics
	}
	var page Page
	var gap *Gap
	if c.log == nil {
		page, gap = c.readWindow(&sel, start, limit)
	} else {
		at, err := c.log.Locate(ctx, start, sel)
		if err != nil && !errors.As(err, &gap) {
			return Page{}, fmt.Errorf("sse: Broker.Log: %w", err)
		}
		if page, err = c.log.Read(ctx, at, Position{}, sel, limit); err != nil {
			return Page{}, fmt.Errorf("sse: Broker.Log: %w", err)
		}
	}
	if start.Earliest || start.Last > 0 {
		page.Lost = Position{} // who asks for the past as such has lost nothing
	}
	if gap != nil {
		return page, gap
	}
	return page, nil
}

// readWindow is Read without a log.
func (c *core) readWindow(sel *Selection, start Start, limit int) (Page, *Gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	at, err := c.win.locate(start, sel, now)
	var gap *Gap
	errors.As(err, &gap)
	return c.win.read(at, Position{}, sel, limit, now), gap
}

// read is EventLog.Read of a window.
func (w *window) read(after, through Position, sel *Selection, limit int, now time.Time) Page {
	end := w.last.Seq
	if through != (Position{}) {
		end = min(end, through.Seq)
	}
	chains := w.sources(sel, now)
	entries, more := w.page(nil, chains, after.Seq, end, limit)
	page := Page{Next: w.positionAt(max(end, after.Seq))}
	for _, e := range entries {
		page.Entries = append(page.Entries, e.export(w.epoch))
		if more {
			page.Next = e.position(w.epoch)
		}
	}
	if lost := w.lost(chains...); lost.seq > after.Seq {
		page.Lost = Position{w.epoch, lost.seq, lost.check}
	}
	return page
}

// Forget removes the events of a topic up to a position from the broker's memory,
// from their other topics as well. Who asks for them later is told a gap. With a
// Log, they must have been removed there before, or they will be read from it.
// It blocks only until the Log was reached for the first time.
func (b *Broker) Forget(ctx context.Context, topic string, through Position) error {
	c, err := b.start(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.win.topics[topic]
	if t == nil || through.Epoch != c.win.epoch {
		return nil
	}
	var doomed []*entry // removing one moves the others
	for _, it := range t.items[t.head:] {
		if it.seq > through.Seq {
			break
		}
		if !it.gone {
			doomed = append(doomed, it.entry)
		}
	}
	for _, e := range doomed {
		for _, chain := range c.win.chainsOf(e) {
			c.win.lose(chain, e) // also where a log has all else that is gone
		}
		c.win.remove(e)
	}
	return nil
}
