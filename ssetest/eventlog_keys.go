package ssetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sse-go/sse"
)

const whyKeys = "a publisher that has received no answer publishes again with the same key: " +
	"its event must be stored once"

var keyCases = []eventLogCase{
	{
		name: "keys/supported-or-not",
		promise: "if a request has a Key, a log that cannot store keys stores nothing and returns " +
			"an error that wraps errors.ErrUnsupported",
		why: "a publisher that repeats a request would publish its event twice",
		run: func(k *kit) {
			l := k.open()
			r := l.keyed("key", "owner", "data")
			result, err := l.request(r)
			switch {
			case err == nil: // so the log stores keys, whether or not Keys is declared
				l.mustReplay("the repeated request", r, result.Positions)
			case k.opts.Keys || !errors.Is(err, errors.ErrUnsupported):
				k.fail("Append with a Key", err, "no error, or one that wraps errors.ErrUnsupported")
			}
			l.checkStored()
		},
	},
	{
		name: "keys/repeated",
		promise: "if the log has stored a request with the same Owner and Key before, Append " +
			"stores nothing, returns the positions of that request, and sets Replayed",
		why:   whyKeys,
		needs: needKeys,
		run:   keysRepeated,
	},
	{
		name:    "keys/owners",
		promise: "the keys of different owners are independent of each other",
		why: "otherwise a client receives the positions of another client's events, and the " +
			"log does not store the client's own events",
		needs: needKeys,
		run:   keysOwners,
	},
	{
		name: "keys/digest",
		promise: "if the log has stored another Digest with the Key, Append stores nothing and " +
			"returns a *FieldError for the field \"key\"",
		why: "a publisher that uses a key for two events must notice that the second is not " +
			"stored",
		needs: needKeys,
		run:   keysDigest,
	},
	{
		name:    "keys/concurrent",
		promise: "if a concurrent call uses the same Key, Append blocks until that call has ended",
		why:     whyKeys,
		needs:   needKeys,
		run:     keysConcurrent,
	},
	{
		name: "keys/canceled",
		promise: "a request with a Key is stored as a whole or not at all; if nothing was " +
			"stored, repeating the request stores it",
		why:   whyKeys,
		needs: needKeys,
		run:   keysCanceled,
	},
	{
		name: "keys/failed",
		promise: "a request with a Key is stored as a whole or not at all; if nothing was " +
			"stored, repeating the request stores it",
		why:   whyKeys,
		needs: needKeys | needFail,
		run: func(k *kit) {
			l := k.open()
			f := l.follow(sse.Position{})
			for n := range 4 {
				r := l.keyed(fmt.Sprint("key ", n), "owner", "a", "b", "c", "d")
				k.opts.Fail(l.log, n)
				result, err := l.request(r)
				if err == nil || len(result.Positions) > 0 {
					k.fail(fmt.Sprintf("Append with a Key after Fail(log, %d)", n),
						fmt.Sprintf("%d positions, error %v", len(result.Positions), err),
						"no positions, and an error")
				}
				l.mustStore("the repeated request", r)
			}
			l.checkAppended(f)
		},
	},
	{
		name:    "keys/reopen",
		promise: "a log that survives a restart remembers the keys of the stored requests",
		why:     whyKeys,
		needs:   needKeys | needReopen,
		run:     keysReopen,
	},
}

// keyed returns a request with a key, whose entries have the given data. Its
// digest depends on the data alone.
func (l *testLog) keyed(key, owner string, data ...string) sse.AppendRequest {
	r := sse.AppendRequest{Key: key, Owner: owner, Digest: sha256.Sum256(fmt.Append(nil, data))}
	for _, text := range data {
		r.Entries = append(r.Entries, l.entry(text, "a"))
	}
	return r
}

// request calls Append, and records the entries that the log has stored because of
// this call.
func (l *testLog) request(r sse.AppendRequest) (sse.AppendResult, error) {
	result, err := l.log.Append(l.ctx, r)
	if !result.Replayed && len(result.Positions) <= len(r.Entries) {
		l.record(r.Entries, result.Positions)
	}
	return result, err
}

// mustStore checks that the log stores the entries of a request although it has a key,
// and returns the positions of these entries.
func (l *testLog) mustStore(subject string, r sse.AppendRequest) []sse.Position {
	result, err := l.request(r)
	if err != nil || result.Replayed || len(result.Positions) != len(r.Entries) {
		l.fail(subject, showResult(result, err),
			fmt.Sprintf("%d new positions, and no error", len(r.Entries)))
	}
	return result.Positions
}

// mustReplay checks that Append of a repeated request sets Replayed and returns want,
// the positions of the first request.
func (l *testLog) mustReplay(subject string, r sse.AppendRequest, want []sse.Position) {
	result, err := l.request(r)
	if err != nil || !result.Replayed || !slices.Equal(result.Positions, want) {
		l.fail(subject, showResult(result, err),
			fmt.Sprintf("Replayed, with the positions %v, and no error", want))
	}
}

// mustRefuse checks that the log refuses a request because of its key.
func (l *testLog) mustRefuse(subject string, r sse.AppendRequest) {
	result, err := l.request(r)
	refused := (*sse.FieldError)(nil)
	if len(result.Positions) > 0 || !errors.As(err, &refused) || refused.Field != "key" {
		l.fail(subject, showResult(result, err), `no positions, and a *FieldError for "key"`)
	}
}

func showResult(result sse.AppendResult, err error) string {
	return fmt.Sprintf("positions %v, Replayed %t, error %v", result.Positions, result.Replayed, err)
}

// checkStored checks that the log stores exactly the recorded entries.
func (l *testLog) checkStored() {
	l.equalEntries("the entries from Read", l.readAll(everything), l.appended)
}

func keysRepeated(k *kit) {
	l := k.open()
	one := l.keyed("one", "owner", "a")
	batch := l.keyed("batch", "owner", "b", "c", "d")
	first := l.mustStore("the first request with a Key", one)
	l.append(k.entry("without a key", "a"))
	others := l.mustStore("the first request of three entries", batch)
	for range 2 {
		l.mustReplay("the repeated request", one, first)
		l.mustReplay("the repeated request of three entries", batch, others)
		l.append(k.entry("later", "a"))
	}
	// The entries of this request have another Time, but its Digest is the same.
	l.mustReplay("the request repeated later", l.keyed("one", "owner", "a"), first)
	l.checkStored()
}

func keysOwners(k *kit) {
	l := k.open()
	// A log that joins owner and key into one text takes some of these pairs for equal.
	for _, name := range [][2]string{
		{"ann", "key"}, {"bob", "key"}, {"", "key"}, {"annk", "ey"}, {"an", "nkey"},
		{"ann\x00", "key"}, {"ann", "\x00key"}, {"ann/", "key"}, {"ann", "/key"},
		{"ann", "KEY"}, {"ann", "key "}, {"key", "ann"},
	} {
		owner, key := name[0], name[1]
		subject := fmt.Sprintf("the first request of owner %q with key %q", owner, key)
		r := l.keyed(key, owner, "the same data")
		positions := l.mustStore(subject, r)
		l.mustReplay(subject+", repeated", r, positions)
	}
	l.checkStored()
}

func keysDigest(k *kit) {
	l := k.open()
	r := l.keyed("key", "owner", "a", "b")
	positions := l.mustStore("the first request", r)
	l.mustRefuse("a request with the same Key and other data", l.keyed("key", "owner", "a"))
	for i := range r.Digest {
		other := r
		other.Digest[i] ^= 1
		l.mustRefuse(fmt.Sprintf("a request whose Digest differs in byte %d", i), other)
	}
	l.mustReplay("the first request, repeated after the others", r, positions)
	l.checkStored()
}

func keysConcurrent(k *kit) {
	l := k.open()
	for round := range 10 {
		r := l.keyed(fmt.Sprint("key ", round), "owner", "a", "b")
		results := make([]sse.AppendResult, 8)
		errs := make([]error, len(results))
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i], errs[i] = l.log.Append(k.ctx, r) })
		}
		wg.Wait()
		stored := 0
		for i, result := range results {
			if errs[i] != nil || !slices.Equal(result.Positions, results[0].Positions) {
				k.fail("a concurrent Append with the same Key", showResult(result, errs[i]),
					showResult(results[0], nil))
			}
			if !result.Replayed {
				stored++
			}
		}
		if stored != 1 {
			k.fatal(fmt.Sprintf("%d concurrent Appends with the same Key", len(results)),
				fmt.Sprintf("%d results without Replayed", stored), "one")
		}
		l.record(r.Entries, results[0].Positions)
	}
	l.checkStored()
}

func keysCanceled(k *kit) {
	l := k.open()
	f := l.follow(sse.Position{})
	for i := range 20 {
		r := l.keyed(fmt.Sprint("key ", i), "owner", "a", "b", "c")
		ctx, cancel := context.WithCancel(k.ctx)
		var wg sync.WaitGroup
		wg.Go(cancel)
		result, err := l.log.Append(ctx, r)
		wg.Wait()
		l.record(r.Entries, result.Positions)
		switch {
		case err == nil:
			l.mustReplay("the repeated request", r, result.Positions)
		case len(result.Positions) > 0:
			k.fatal("Append with a Key that fails", showResult(result, err), "no positions")
		default:
			l.mustStore("a request repeated after a canceled one", r)
		}
	}
	l.checkAppended(f)
}

func keysReopen(k *kit) {
	l := k.open()
	one := l.keyed("one", "owner", "a")
	batch := l.keyed("batch", "owner", "b", "c", "d")
	first := l.mustStore("the first request with a Key", one)
	others := l.mustStore("the first request of three entries", batch)
	for range 2 {
		l.reopen()
		l.mustReplay("the request repeated after Reopen", one, first)
		l.mustReplay("the request of three entries repeated after Reopen", batch, others)
		l.mustRefuse("another request with the Key, after Reopen", l.keyed("one", "owner", "b"))
		l.mustStore("a request of another owner, after Reopen",
			l.keyed("one", fmt.Sprint("owner ", len(l.appended)), "a"))
	}
	l.checkStored()
}
