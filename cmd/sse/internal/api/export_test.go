package api

import (
	"context"
	"io"
)

// SetMaxInflight sets how many bytes all requests in flight may reserve.
func (a *API) SetMaxInflight(size int64) { a.inflight.max = size }

// Inflight returns how many bytes all requests in flight have reserved.
func (a *API) Inflight() int64 {
	a.inflight.mu.Lock()
	defer a.inflight.mu.Unlock()
	return a.inflight.used
}

// Reserve reserves memory for a request until release is called.
func (a *API) Reserve(ctx context.Context, size int) (release func(), err error) {
	s := a.newShare()
	return s.release, s.resize(ctx, size)
}

// SplitLines calls lines with the lines of each read of r. It returns the size of
// the largest buffer in bytes.
func SplitLines(r io.Reader, limit int, lines func([][]byte)) (largest int, err error) {
	s := &lineSplitter{r: r, limit: limit, resize: func(size int) error {
		largest = max(largest, size)
		return nil
	}}
	for err == nil {
		var some [][]byte
		some, err = s.next()
		lines(some)
	}
	return largest, err
}

// PageBytes is about the largest size of a page.
const PageBytes = pageBytes

// BatchLine is one event of a batch.
type BatchLine = batchLine

// ParseSimple parses a line in the most common form, and reports whether the
// line has this form.
func ParseSimple(content []byte) (*BatchLine, bool) {
	l := &batchLine{}
	ok := l.parseSimple(content)
	return l, ok
}

// HasLoneSurrogate reports whether JSON has half of a surrogate pair without the
// other half.
var HasLoneSurrogate = hasLoneSurrogate

// IsSimpleTopic reports whether a name is a topic that needs no further check.
var IsSimpleTopic = isSimpleTopic

// LastHost returns the last host that the API has allowed, or "".
func (a *API) LastHost() string {
	if host := a.lastHost.Load(); host != nil {
		return *host
	}
	return ""
}

// CountReported returns how many refused names and origins are remembered.
func (a *API) CountReported() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.reported)
}

// DecodeLine parses a line of a batch in any form of JSON.
var DecodeLine = decodeLine

// TakeTurns takes all turns until release is called.
func (a *API) TakeTurns() (release func()) {
	for range cap(a.turns) {
		a.turns <- struct{}{}
	}
	return func() {
		for range cap(a.turns) {
			<-a.turns
		}
	}
}

// Turns returns how many turns are taken.
func (a *API) Turns() int { return len(a.turns) }
