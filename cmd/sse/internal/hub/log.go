package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"syscall"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// openLog opens the event log on the disk. If another hub uses the log, openLog waits
// until that hub releases the log, ctx is done, or LockWait has passed. An error is an
// *Error.
func openLog(ctx context.Context, c *Config) (*segmentlog.Log, error) {
	opts := &segmentlog.Options{
		KeyWindow: c.KeyWindow, NewEpoch: c.NewEpoch, Logger: c.Logger,
		OpenFiles: maxOpenFiles(c.MaxConnections, maxDescriptors()),
	}
	for _, r := range c.Retention {
		opts.Retention = append(opts.Retention, segmentlog.Retention{
			Pattern: r.Pattern, Age: r.Age, Count: r.Events, Bytes: r.Bytes,
		})
	}
	// Another hub that uses the log may go on meanwhile.
	prepared, err := segmentlog.Prepare(c.Data, opts)
	if err != nil {
		return nil, explainOpen(err, c)
	}
	log, err := prepared.Open(ctx, 0)
	var locked *segmentlog.LockedError
	if errors.As(err, &locked) && c.LockWait > 0 && ctx.Err() == nil {
		c.Logger.Info(fmt.Sprintf("%s is in use by another hub; waiting up to %v for it to end",
			c.Data, c.LockWait))
		log, err = prepared.Open(ctx, c.LockWait)
	}
	return log, explainOpen(err, c)
}

// maxOpenFiles returns how many files the event log may have open for reading at a
// time. Connections is the limit of connections. Descriptors is the
// descriptor limit of the process, or zero if that limit is unknown.
func maxOpenFiles(connections int, descriptors uint64) int {
	const usual, least = reservedDescriptors / 2, minSpareDescriptors / 2
	if descriptors == 0 || descriptors > math.MaxInt32 {
		return usual
	}
	return min(usual, max(least, (int(descriptors)-connections)/2))
}

// explainOpen returns an *Error that explains why the log cannot be opened. It
// returns nil if err is nil.
func explainOpen(err error, c *Config) error {
	if err == nil {
		return nil
	}
	e := &Error{Text: text.WithoutPrefix(err), Err: err}
	var locked *segmentlog.LockedError
	var path *fs.PathError
	var missingKey *segmentlog.MissingKeyError
	var state *segmentlog.StateError
	var old *segmentlog.OldFormatError
	switch {
	case errors.As(err, &locked):
		e.Text = fmt.Sprintf("%s is in use by another hub", c.Data)
		e.Hint = "stop the other hub, or choose another directory with --data DIR"
	case errors.As(err, &missingKey):
		e.Text = text.WithoutPrefix(missingKey)
		e.Hint = "restore the file from a backup, or start the hub once with --new-epoch: " +
			"then each client that reconnects gets a gap"
	case errors.As(err, &state) && state.Newer:
		e.Text = text.WithoutPrefix(state)
		e.Hint = "use the newer version of sse that has written it, or choose another " +
			"directory with --data DIR"
	case errors.As(err, &state):
		e.Text = text.WithoutPrefix(state)
		e.Hint = "restore the file from a backup, or start the hub once with --new-epoch: " +
			"then each client that reconnects gets a gap, and deleted events may be there again"
	case errors.As(err, &old):
		e.Text = text.WithoutPrefix(old)
		e.Hint = "choose another directory with --data DIR; to carry the events over, start the " +
			"older version with this directory, too, and run: sse listen --json --since earliest " +
			"'OLD-URL/**' | curl -T - NEW-URL/-/batch (the events get new IDs)"
	case errors.Is(err, syscall.ENOSPC):
		e.Hint = "free space on the disk, or choose a directory on another disk with --data DIR"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "use --data DIR with a directory that you may write to, or --data memory"
	case errors.As(err, &path) && path.Op == "mkdir":
		e.Hint = "use --data DIR with a directory that can be created, or --data memory"
	}
	return e
}

// publisher implements [api.Log] for a broker that stores its events on the disk or
// in memory.
type publisher struct {
	broker   *sse.Broker
	disk     *segmentlog.Log // nil if the events are in memory
	requests *requestCache   // only used if the events are in memory
}

// Publish implements [api.Log]. On the disk, the event log recognizes an idempotency
// key that was used before. In memory, p.requests recognizes it.
func (p *publisher) Publish(
	ctx context.Context, request *api.IdempotentRequest, entries ...sse.Entry,
) (positions []sse.Position, replayed bool, err error) {
	r := sse.AppendRequest{Entries: entries}
	publish := func() ([]sse.Position, error) {
		result, err := p.broker.Append(ctx, r)
		replayed = result.Replayed
		return result.Positions, err
	}
	switch {
	case request == nil:
		positions, err = publish()
		return positions, false, err
	case p.disk == nil:
		return p.requests.publish(ctx, request, publish)
	}
	r.Owner, r.Key, r.Digest = request.Owner, request.Key, request.Digest
	positions, err = publish()
	if field := (*sse.FieldError)(nil); errors.As(err, &field) && field.Field == "key" {
		err = api.ErrKeyUsed
	}
	return positions, replayed, err
}

// PublishOne implements [api.Log].
func (p *publisher) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	return p.broker.Publish(ctx, event, topics...)
}

// Delete implements [api.Log]. It removes the events that were published before it was
// called.
func (p *publisher) Delete(ctx context.Context, topic string) error {
	at, err := p.broker.Position(ctx)
	if err != nil {
		return err
	}
	if p.disk != nil {
		if err := p.disk.Delete(ctx, topic, at); err != nil {
			return err
		}
	}
	return p.broker.Forget(ctx, topic, at)
}
