package brokertest

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/sse-go/sse"
)

// FakeLog is an event log in memory whose losses and failures a test controls. Its
// Locate supports only a part of [sse.Start]: Earliest and any Last start at the
// beginning, every ID is unknown, and Time is ignored.
type FakeLog struct {
	// BeforeRead, if not nil, is called at the start of each Read. If it returns
	// an error, Read returns that error.
	BeforeRead func(ctx context.Context) error

	mu      sync.Mutex // guards the following
	epoch   uint64
	key     [16]byte // for [sse.Entry.Check]; zero, so that each run has the same positions
	entries []sse.Entry
	last    uint64        // sequence number of the newest entry
	removed uint64        // all entries up to this sequence have been removed
	changed chan struct{} // closed, and replaced, by Append
}

var _ sse.EventLog = (*FakeLog)(nil)

// NewFakeLog returns an empty log of epoch 1.
func NewFakeLog() *FakeLog { return &FakeLog{epoch: 1, changed: make(chan struct{})} }

// Remove removes the entries whose sequence numbers are at most through. Read
// reports them as lost.
func (l *FakeLog) Remove(through uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = through
	l.entries = slices.DeleteFunc(l.entries, func(e sse.Entry) bool {
		return e.Position.Seq <= through
	})
}

// Reset removes all entries and begins another epoch, as a log does that has lost
// its entries. A running Follow notices the new epoch only after the next Append.
func (l *FakeLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.entries, l.last, l.removed = nil, 0, 0
}

// Append implements [sse.EventLog].
func (l *FakeLog) Append(_ context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var positions []sse.Position
	for _, e := range r.Entries {
		l.last++
		e.Position = sse.Position{Epoch: l.epoch, Seq: l.last}
		e.Position.Check = e.Check(l.key)
		l.entries = append(l.entries, e)
		positions = append(positions, e.Position)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return sse.AppendResult{Positions: positions}, nil
}

// Read implements [sse.EventLog]. It ignores r.Limit and leaves Page.Next zero.
func (l *FakeLog) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	if l.BeforeRead != nil {
		if err := l.BeforeRead(ctx); err != nil {
			return sse.Page{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var page sse.Page
	for _, e := range l.entries {
		if e.Position.Seq > r.After.Seq &&
			(r.Through.Seq == 0 || e.Position.Seq <= r.Through.Seq) && r.Selection.Match(e.Topics) {
			page.Entries = append(page.Entries, e)
		}
	}
	if l.removed > r.After.Seq {
		page.Lost = sse.Position{Epoch: l.epoch, Seq: l.removed}
	}
	return page, nil
}

// Follow implements [sse.EventLog].
func (l *FakeLog) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return func(yield func(sse.Entry, error) bool) {
		after := r.After
		for {
			l.mu.Lock()
			if after.Epoch != l.epoch {
				after = sse.Position{Epoch: l.epoch}
			}
			entries, changed := slices.Clone(l.entries), l.changed
			l.mu.Unlock()
			for _, e := range entries {
				if e.Position.Seq <= after.Seq {
					continue
				}
				if !yield(e, nil) {
					return
				}
				after = e.Position
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Locate implements [sse.EventLog].
func (l *FakeLog) Locate(_ context.Context, start sse.Start, _ sse.Selection) (
	sse.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	origin := sse.Position{Epoch: l.epoch}
	switch {
	case start.After != sse.Position{} && start.After.Epoch != l.epoch:
		return sse.Page{Next: origin, Gap: &sse.Gap{Asked: start.After.String(), Why: sse.GapEpoch}}, nil
	case start.After != sse.Position{}:
		return sse.Page{Next: start.After}, nil
	case start.ID != "":
		return sse.Page{Next: origin, Gap: &sse.Gap{Asked: start.ID, Why: sse.GapUnknown}}, nil
	case start.Earliest || start.Last > 0:
		return sse.Page{Next: origin}, nil
	}
	return sse.Page{Next: l.position(l.last)}, nil
}

// position returns the position with the sequence number seq. If no entry has that
// number, the Check of the position is zero. The caller holds mu.
func (l *FakeLog) position(seq uint64) sse.Position {
	for i := range l.entries {
		if l.entries[i].Position.Seq == seq {
			return l.entries[i].Position
		}
	}
	return sse.Position{Epoch: l.epoch, Seq: seq}
}
