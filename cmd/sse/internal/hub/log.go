package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// openLog opens the log on the disk. If another hub has it, it waits for that until
// ctx is done, for at most LockWait.
func openLog(ctx context.Context, c *Config) (*disklog.Log, error) {
	opts := &disklog.Options{KeyWindow: c.KeyWindow, Logger: c.Logger}
	for _, r := range c.Retention {
		opts.Retention = append(opts.Retention, disklog.Retention{
			Pattern: r.Pattern, Age: r.Age, Count: r.Events, Bytes: r.Bytes,
		})
	}
	const step = 200 * time.Millisecond // after which ctx is looked at
	began := time.Now()
	for {
		log, err := disklog.Open(c.Data, opts)
		var locked *disklog.LockedError
		left := c.LockWait - time.Since(began)
		if !errors.As(err, &locked) || left <= 0 || ctx.Err() != nil {
			return log, explainOpen(err, c)
		}
		if opts.LockWait == 0 {
			c.Logger.Info(fmt.Sprintf("%s is in use by another hub; waiting up to %v for it to end",
				c.Data, c.LockWait))
		}
		opts.LockWait = min(step, left)
	}
}

// explainOpen says what is in the way of a log, or nothing.
func explainOpen(err error, c *Config) error {
	if err == nil {
		return nil
	}
	e := &Error{Text: bare(err), Err: err}
	var locked *disklog.LockedError
	var path *fs.PathError
	switch {
	case errors.As(err, &locked):
		e.Text = fmt.Sprintf("%s is in use by another hub", c.Data)
		e.Hint = "one hub has one directory: stop the other, or choose another with --data DIR"
	case errors.Is(err, syscall.ENOSPC):
		e.Hint = "make space on the disk, or choose a directory on another with --data DIR"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "choose a directory that you may write to with --data DIR, or --data memory"
	case errors.As(err, &path) && path.Op == "mkdir":
		e.Hint = "choose a place where a directory can be made with --data DIR, or --data memory"
	}
	return e
}

// durable is the log on the disk, as the broker's: what is published with an
// idempotency key goes past the broker as a value of the context, so that the key is
// kept with the events.
type durable struct{ *disklog.Log }

type onceKey struct{}

// onceCall is an idempotency key, and what became of it.
type onceCall struct {
	once   disklog.Once
	before bool
}

// Append implements [sse.EventLog].
func (d durable) Append(ctx context.Context, entries ...sse.Entry) ([]sse.Position, error) {
	call, ok := ctx.Value(onceKey{}).(*onceCall)
	if !ok {
		return d.Log.Append(ctx, entries...)
	}
	at, before, err := d.AppendOnce(ctx, call.once, entries...)
	call.before = before
	return at, err
}

// publisher publishes to a broker, whose log is on the disk or in memory.
type publisher struct {
	broker *sse.Broker
	disk   *disklog.Log // or nil
	keys   *keys        // of a log in memory
}

// Publish implements [api.Log].
func (p *publisher) Publish(ctx context.Context, once *api.Once, entries ...sse.Entry) (
	at []sse.Position, before bool, err error) {
	switch {
	case once == nil:
		at, err = p.broker.PublishAll(ctx, entries...)
		return at, false, err
	case p.disk == nil:
		return p.keys.publish(ctx, once, func() ([]sse.Position, error) {
			return p.broker.PublishAll(ctx, entries...)
		})
	}
	call := &onceCall{once: disklog.Once{Owner: once.Owner, Key: once.Key, Digest: once.Digest}}
	at, err = p.broker.PublishAll(context.WithValue(ctx, onceKey{}, call), entries...)
	if used := (*disklog.KeyError)(nil); errors.As(err, &used) {
		err = api.ErrKeyUsed
	}
	return at, call.before, err
}

// PublishOne implements [api.Log].
func (p *publisher) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	return p.broker.Publish(ctx, event, topics...)
}

// Delete implements [api.Log]. What is published meanwhile stays.
func (p *publisher) Delete(ctx context.Context, topic string) error {
	at, err := p.broker.Position(ctx)
	if err != nil {
		return err
	}
	if p.disk != nil {
		if err := p.disk.Delete(ctx, topic); err != nil {
			return err
		}
	}
	return p.broker.Forget(ctx, topic, at)
}
