package sse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/wire"
)

// Publish publishes an event on the topics, and returns the event's position. If
// there are no topics, the event is published without a topic. If event.ID is empty,
// subscribers receive the text of the position as the event's ID. An event whose type
// begins with "sse." cannot be published.
//
// A program that republishes an event from a [Client] or from [Broker.Subscribe] need
// not clear the fields that the receiver has set: Publish ignores Topic and
// LastEventID, and also ClearID if ID is empty. If ClearID and ID are both set, the
// event is invalid. Publish also ignores an ID that is the text of a [Position],
// because a broker has generated that ID: the event gets a new position. All other IDs
// that begin with "~" are invalid.
//
// Publish never waits for a subscriber. Without a Log, it does not block. With a Log,
// it first blocks until the Log has stored the event, or has returned an error, for
// example because ctx is done. Then it blocks until subscribers of this broker can
// receive the event. This second wait also ends when ctx is done, or when Shutdown is
// ending the last streams. If ctx is done and Publish returns an error, the event may
// have been published nevertheless.
//
// The error is
//
//   - a [*FieldError], if the event or a topic is invalid;
//   - [ErrShutdown], after Shutdown;
//   - the error of [Broker.Validate], if a field of the broker is invalid;
//   - in all other cases, an error that wraps the cause of ctx or the error of the Log.
func (b *Broker) Publish(ctx context.Context, event Event, topics ...string) (Position, error) {
	topics, err := checkEntry(&event, topics)
	if err != nil {
		return Position{}, err
	}
	st, err := b.startFor(ctx)
	if err != nil {
		return Position{}, err
	}
	if st.log != nil {
		return b.publishLog(ctx, st, event, topics)
	}
	event = normalize(event)
	d := newDraft(&event)
	if len(topics) >= manyTopics {
		st.largeMu.Lock()
		defer st.largeMu.Unlock()
		addTopics(st, topics)
	}
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return Position{}, ErrShutdown
	}
	e := st.window.publish(&d, topics, time.Now())
	p := e.position(st.window.epoch)
	st.wakeSubscribers(e)
	st.mu.Unlock()
	return p, nil
}

// PublishJSON publishes the event with the JSON encoding of v as its Data. In event,
// Data must be empty. If v cannot be encoded, PublishJSON publishes nothing and
// returns an error that wraps the error of encoding/json. Otherwise it behaves as
// [Broker.Publish].
func (b *Broker) PublishJSON(ctx context.Context, event Event, v any, topics ...string) (
	Position, error) {
	if event.Data != "" {
		return Position{}, errors.New("sse: PublishJSON: Event.Data must be empty")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return Position{}, fmt.Errorf("sse: PublishJSON: %w", err)
	}
	event.Data = string(data)
	return b.Publish(ctx, event, topics...)
}

// Comment sends text as a comment to every stream of the broker, with one comment
// line for each line of text. Clients ignore comments. A comment is not an event and
// has no position, so a client that connects later does not receive it. Subscriptions
// by Subscribe do not receive comments.
//
// A stream receives the comment once, after the events that were published before the
// comment. Comment does not wait until streams have received the comment. For streams
// that have not received all comments yet, the broker stores only the newest 16. If
// a stream has more than 16 comments to receive, it does not receive the older ones.
//
// Comment returns an error if text has more than 16 KiB, [ErrShutdown] after
// Shutdown, and the error of [Broker.Validate] if there is one.
func (b *Broker) Comment(text string) error {
	if len(text) > maxCommentSize {
		return fmt.Errorf("sse: a comment of a broker must have at most %d bytes, not %d",
			maxCommentSize, len(text))
	}
	if !b.state.started.Load() {
		if err := b.Validate(); err != nil {
			return err
		}
	}
	return b.state.comment(wire.AppendLines(nil, "", text))
}

// startFor starts the broker for a publisher. If ctx is done, it returns an error that
// wraps the cause of ctx.
func (b *Broker) startFor(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sse: %w", context.Cause(ctx))
	}
	return b.start(ctx)
}

// publishLog is Publish with a log.
func (b *Broker) publishLog(ctx context.Context, st *state, event Event, topics []string) (
	Position, error) {
	result, err := b.appendLog(ctx, st, AppendRequest{Entries: []Entry{{
		Time: time.Now(), Topics: slices.Clone(topics), Event: normalize(event),
	}}})
	if len(result.Positions) == 1 {
		return result.Positions[0], nil
	}
	return Position{}, err
}

// Append publishes several events, in order, and returns their positions. Events of
// other publishers may come between them. Append costs little more than publishing one
// event. It ignores Position and Time of the entries. An entry without Topics is
// published without a topic. If [AppendRequest.Key] is set, the Log stores only the
// first request with this Key and Owner. Without a Log, a Key is an error that wraps
// [errors.ErrUnsupported].
//
// Append checks all entries before it publishes the first one. If the error is a
// [*FieldError], no entry was published. If Append returns another error, the result
// has the positions of the entries that were published. If ctx is done, some of the
// other entries may have been published, too. Append blocks as Publish does.
func (b *Broker) Append(ctx context.Context, r AppendRequest) (AppendResult, error) {
	if b.Log != nil {
		return b.checkAndAppendLog(ctx, r)
	}
	if r.Key != "" {
		return AppendResult{}, fmt.Errorf("sse: AppendRequest.Key needs a Broker.Log: %w",
			errors.ErrUnsupported)
	}
	drafts := getDrafts(len(r.Entries))
	defer putDrafts(drafts)
	for i := range r.Entries {
		d := &(*drafts)[i]
		event := r.Entries[i].Event
		var err error
		if d.topics, err = checkEntry(&event, r.Entries[i].Topics); err != nil {
			return AppendResult{}, err
		}
		event = normalize(event)
		d.draft = newDraft(&event)
	}
	st, err := b.startFor(ctx)
	if err != nil || len(r.Entries) == 0 {
		return AppendResult{}, err
	}
	return b.publishAll(st, *drafts)
}

// publishAll publishes drafts. After every manyTopics topics, it releases the lock for a
// moment, so events of other publishers may come between these events.
func (b *Broker) publishAll(st *state, drafts []topicDraft) (AppendResult, error) {
	positions := make([]Position, 0, len(drafts))
	st.largeMu.Lock()
	defer st.largeMu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	now, topics := time.Now(), 0
	for i := range drafts {
		d := &drafts[i]
		if topics += len(d.topics); topics > manyTopics && i > 0 {
			st.window.unlocked(func() {
				if len(d.topics) >= manyTopics {
					addTopics(st, d.topics)
				}
			})
			topics = len(d.topics)
		}
		if st.closed {
			return AppendResult{Positions: positions}, ErrShutdown
		}
		e := st.window.publish(&d.draft, d.topics, now)
		positions = append(positions, e.position(st.window.epoch))
		st.wakeSubscribers(e)
	}
	return AppendResult{Positions: positions}, nil
}

// addTopics adds topics to the window, a few at a time, so that the event with these
// topics can then be published more quickly. The caller does not hold mu.
func addTopics(st *state, names []string) {
	// slices.Chunk would cause an allocation in each Publish, because names would escape.
	for len(names) > 0 {
		n := min(len(names), manyTopics)
		st.mu.Lock()
		for _, name := range names[:n] {
			if !st.closed {
				st.window.topicState(name)
			}
		}
		st.mu.Unlock()
		names = names[n:]
		runtime.Gosched()
	}
}

// checkAndAppendLog is Append with a log.
func (b *Broker) checkAndAppendLog(ctx context.Context, r AppendRequest) (AppendResult, error) {
	now := time.Now()
	checked := make([]Entry, len(r.Entries))
	for i := range r.Entries {
		event := r.Entries[i].Event
		topics, err := checkEntry(&event, r.Entries[i].Topics)
		if err != nil {
			return AppendResult{}, err
		}
		checked[i] = Entry{Time: now, Topics: topics, Event: normalize(event)}
	}
	st, err := b.startFor(ctx)
	if err != nil || len(r.Entries) == 0 {
		return AppendResult{}, err
	}
	r.Entries = checked
	return b.appendLog(ctx, st, r)
}

// appendLog appends entries to the log, and blocks as awaitVisible does.
func (b *Broker) appendLog(ctx context.Context, st *state, r AppendRequest) (AppendResult, error) {
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return AppendResult{}, ErrShutdown
	}
	st.appends.running.Add(1)
	st.mu.Unlock()
	defer st.appends.running.Done()
	result, err := st.log.Append(ctx, r)
	if n := len(result.Positions); n > 0 && n <= len(r.Entries) {
		b.awaitVisible(ctx, st, result.Positions[n-1])
	}
	switch {
	case err == nil && len(result.Positions) == len(r.Entries):
		return result, nil
	case err == nil:
		err = fmt.Errorf("Append returned %d positions for %d entries, and no error",
			len(result.Positions), len(r.Entries))
	}
	return result, fmt.Errorf("sse: Broker.Log: %w", err)
}

// awaitVisible blocks until the window (the events in memory) has reached a position,
// so that subscribers can receive the event. It also returns when the broker is closed,
// when the log begins a new epoch, and when ctx is done. It returns no error, because the
// log has stored the event in any case.
func (b *Broker) awaitVisible(ctx context.Context, st *state, p Position) {
	st.mu.Lock()
	if st.closed || st.window.epoch == p.Epoch && st.window.last.Seq >= p.Seq {
		st.mu.Unlock()
		return
	}
	visible := st.appends.wait(p)
	st.mu.Unlock()
	select {
	case <-visible:
	case <-ctx.Done():
	}
}

// topicDraft is a draft (an event that is encoded except for its position), and the
// event's topics without duplicates.
type topicDraft struct {
	draft
	topics []string
}

// draftPool stores the slices that Append has used, for later calls. Without the pool,
// each call would allocate a slice with about 64 bytes for each event.
var draftPool sync.Pool

func getDrafts(n int) *[]topicDraft {
	drafts, ok := draftPool.Get().(*[]topicDraft)
	if !ok {
		drafts = new([]topicDraft)
	}
	*drafts = slices.Grow(*drafts, n)[:n]
	return drafts
}

func putDrafts(drafts *[]topicDraft) {
	const maxPooled = 4096
	clear(*drafts)
	if *drafts = (*drafts)[:0]; cap(*drafts) <= maxPooled {
		draftPool.Put(drafts)
	}
}

// checkEntry checks an event and its topics, and returns the topics without duplicates.
// It clears the event's Topic, and an ID that a broker has generated.
func checkEntry(event *Event, topics []string) ([]string, error) {
	event.Topic = ""
	topics, err := publishTopics(topics)
	if err != nil {
		return nil, err
	}
	if err := event.check(); err != nil {
		return nil, err
	}
	if _, ok := parsePosition(event.ID); ok {
		event.ID = "" // a broker has generated the ID
	}
	return topics, checkReserved(event)
}

// checkReserved returns a *FieldError if the ID or the type has a form that is reserved
// for this package.
func checkReserved(event *Event) error {
	if isGenerated(event.ID) {
		return &FieldError{Field: "id", Value: event.ID,
			Reason: `must not begin with "~" unless it is a position: brokers give positions as IDs`}
	}
	if strings.HasPrefix(event.Type, reservedPrefix) {
		return &FieldError{Field: "event", Value: event.Type,
			Reason: `must not begin with "sse.": this package uses such types`}
	}
	return nil
}

// publishTopics checks the topics of an event, and returns them without
// duplicates.
func publishTopics(topics []string) ([]string, error) {
	switch len(topics) {
	case 0:
		return defaultTopics, nil
	case 1:
		return topics, checkTopic(topics[0])
	}
	if len(topics) > maxTopics {
		return nil, &FieldError{Field: "topic", Value: topics[maxTopics],
			Reason: "is one too many: an event may have at most 1024 topics"}
	}
	unique := make([]string, 0, len(topics))
	var seen map[string]bool // the topics in unique, if there are many
	for _, topic := range topics {
		if err := checkTopic(topic); err != nil {
			return nil, err
		}
		if seen[topic] || seen == nil && slices.Contains(unique, topic) {
			continue
		}
		if unique = append(unique, topic); len(unique) == manyTopics {
			seen = make(map[string]bool, len(topics))
			for _, topic := range unique {
				seen[topic] = true
			}
		} else if seen != nil {
			seen[topic] = true
		}
	}
	return unique, nil
}
