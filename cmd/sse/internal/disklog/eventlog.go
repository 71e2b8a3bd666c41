package disklog

import (
	"context"
	"errors"
	"iter"

	"github.com/sse-go/sse"
)

// EventLog returns the log as an [sse.EventLog].
func (l *Log) EventLog() sse.EventLog { return eventLog{l} }

type eventLog struct{ log *Log }

func (l eventLog) Append(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
	if r.Key == "" {
		positions, err := l.log.Append(ctx, r.Entries...)
		return sse.AppendResult{Positions: positions}, err
	}
	once := Once{Owner: r.Owner, Key: r.Key, Digest: r.Digest}
	positions, replayed, err := l.log.AppendOnce(ctx, once, r.Entries...)
	if used := (*KeyError)(nil); errors.As(err, &used) {
		err = &sse.FieldError{
			Field: "key", Value: r.Key, Reason: "was used for another request before",
		}
	}
	return sse.AppendResult{Positions: positions, Replayed: replayed}, err
}

func (l eventLog) Read(ctx context.Context, r sse.ReadRequest) (sse.Page, error) {
	return l.log.Read(ctx, r.After, r.Through, r.Selection, r.Limit)
}

func (l eventLog) Follow(ctx context.Context, r sse.ReadRequest) iter.Seq2[sse.Entry, error] {
	return l.log.Follow(ctx, r.After)
}

func (l eventLog) Locate(ctx context.Context, start sse.Start, sel sse.Selection) (
	sse.Page, error) {
	next, err := l.log.Locate(ctx, start, sel)
	if gap := (*sse.Gap)(nil); errors.As(err, &gap) {
		return sse.Page{Next: next, Gap: gap}, nil
	}
	return sse.Page{Next: next}, err
}
