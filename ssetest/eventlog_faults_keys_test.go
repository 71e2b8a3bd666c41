package ssetest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// onRequest returns a function that breaks a log: Append changes requests with a key
// before it stores them.
func onRequest(change func(r *sse.AppendRequest)) func(b *broken) {
	return func(b *broken) {
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			change(&r)
			return b.log.Append(ctx, r)
		}
	}
}

// onResult returns a function that breaks a log: Append changes the results of
// requests with a key.
func onResult(change func(r *sse.AppendResult, err *error)) func(b *broken) {
	return func(b *broken) {
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			result, err := b.log.Append(ctx, r)
			change(&result, &err)
			return result, err
		}
	}
}

var keyFaults = []fault{
	{"returns a position too many", "keys/canceled", onResult(
		func(r *sse.AppendResult, err *error) {
			if *err == nil {
				r.Positions = append(r.Positions, sse.Position{Epoch: 1, Seq: 1 << 40})
			}
		})},
	{"ignores keys", "keys/repeated", onRequest(func(r *sse.AppendRequest) { r.Key = "" })},
	{"does not set Replayed", "keys/repeated", onResult(func(r *sse.AppendResult, _ *error) {
		r.Replayed = false
	})},
	{"returns no positions for a repeated request", "keys/repeated",
		onResult(func(r *sse.AppendResult, _ *error) {
			if r.Replayed {
				r.Positions = nil
			}
		})},
	{"returns the first position of a repeated request only", "keys/repeated",
		onResult(func(r *sse.AppendResult, _ *error) {
			if r.Replayed {
				r.Positions = r.Positions[:1]
			}
		})},
	{"ignores owners", "keys/owners", onRequest(func(r *sse.AppendRequest) { r.Owner = "" })},
	{"joins owner and key", "keys/owners", onRequest(func(r *sse.AppendRequest) {
		r.Owner, r.Key = "", r.Owner+r.Key
	})},
	{"joins owner and key with a slash", "keys/owners", onRequest(func(r *sse.AppendRequest) {
		r.Owner, r.Key = "", r.Owner+"/"+r.Key
	})},
	{"joins owner and key with NUL", "keys/owners", onRequest(func(r *sse.AppendRequest) {
		r.Owner, r.Key = "", r.Owner+"\x00"+r.Key
	})},
	{"ignores digests", "keys/digest", onRequest(func(r *sse.AppendRequest) {
		r.Digest = [32]byte{}
	})},
	{"compares half of the digest", "keys/digest", onRequest(func(r *sse.AppendRequest) {
		clear(r.Digest[16:])
	})},
	{"refuses another digest with another error", "keys/digest",
		onResult(func(_ *sse.AppendResult, err *error) {
			if *err != nil {
				*err = errors.New("refused")
			}
		})},
	{"stores concurrent requests with a key", "keys/concurrent", func(b *broken) {
		var mu sync.Mutex
		seen := map[string]bool{}
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			mu.Lock()
			ended := seen[r.Owner+"\n"+r.Key]
			mu.Unlock()
			if ended {
				return b.log.Append(ctx, r)
			}
			result, err := b.log.Append(ctx, sse.AppendRequest{Entries: r.Entries})
			mu.Lock()
			defer mu.Unlock()
			seen[r.Owner+"\n"+r.Key] = err == nil
			return result, err
		}
	}},
	{"remembers the key of a failed request", "keys/failed", func(b *broken) {
		var failed sync.Map // the keys of the requests that have failed
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			if _, ok := failed.Load(r.Key); ok {
				return sse.AppendResult{Replayed: true}, nil
			}
			result, err := b.log.Append(ctx, r)
			if err != nil {
				failed.Store(r.Key, nil)
			}
			return result, err
		}
	}},
	{"stores a part of a request with a key", "keys/failed", func(b *broken) {
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			result, err := b.log.Append(ctx, r)
			if errors.Is(err, reflog.ErrFailed) {
				_, _ = b.appendEntries(ctx, r.Entries[:1]...)
			}
			return result, err
		}
	}},
	{"remembers the key of a canceled request", "keys/canceled", func(b *broken) {
		var failed sync.Map // the keys of the requests that have failed
		b.keyed = func(ctx context.Context, r sse.AppendRequest) (sse.AppendResult, error) {
			if _, ok := failed.Load(r.Key); ok {
				return sse.AppendResult{Replayed: true}, nil
			}
			<-time.After(time.Nanosecond) // so that a test that cancels ctx has canceled it
			result, err := b.log.Append(ctx, r)
			if err != nil {
				failed.Store(r.Key, nil)
			}
			return result, err
		}
	}},
}

// TestEventLog rejects a log that ignores keys, even if the options do not declare
// Keys.
func TestEventLogFindsIgnoredKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := breakWith(inMemory(), onRequest(func(r *sse.AppendRequest) { r.Key = "" }))
		opts.Keys = false
		wantFailure(t, opts, "keys/", "keys/supported-or-not")
	})
}

// TestEventLog rejects a log that has no keys when it is opened again.
func TestEventLogFindsForgottenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &files{tamper: func(lines [][]byte) [][]byte {
			var kept [][]byte
			for _, line := range lines {
				if !hasKey(line) {
					kept = append(kept, line)
				}
			}
			return kept
		}}
		wantFailure(t, f.options(), "keys/", "keys/reopen")
	})
}

// withoutKeys makes a log refuse requests with a key, as a log that cannot store keys
// must do.
func withoutKeys(b *broken) {
	b.keyed = func(context.Context, sse.AppendRequest) (sse.AppendResult, error) {
		return sse.AppendResult{}, errors.ErrUnsupported
	}
}

// hasKey reports whether a line of the log's file stores the key of a request.
func hasKey(line []byte) bool { return bytes.Contains(line, []byte(`"key":`)) }
