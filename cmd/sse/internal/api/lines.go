package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sse-go/sse"
)

// maxLines is how many lines are published at once.
const maxLines = 1024

// putOwn is PUT of /-/publish.
func (a *API) putOwn(w http.ResponseWriter, r *http.Request) error {
	return a.publishLines(w, r, target{})
}

// publishLines publishes each line of the body as an event, as they come. A line
// that the end of the body ends is one, too, but not what is left of a body that was
// cut off.
func (a *API) publishLines(w http.ResponseWriter, r *http.Request, to target) error {
	p := &publication{}
	if err := a.prepare(p, r, to); err != nil {
		return err
	}
	if p.event.ID != "" {
		return problemf(http.StatusBadRequest, "id is of one event, and each line is one")
	}
	return a.stream(w, r, func(line []byte) (sse.Entry, error) {
		entry := sse.Entry{Topics: p.topics, Event: p.event}
		entry.Event.Data = string(bytes.TrimSuffix(line, []byte("\r")))
		err := p.check(&entry, a.MaxEvent)
		return entry, err
	})
}

// stream publishes what parse makes of each line, and says how many were kept, also
// if it fails half-way.
func (a *API) stream(
	w http.ResponseWriter, r *http.Request,
	parse func(line []byte) (sse.Entry, error),
) error {
	if r.Header.Get("Idempotency-Key") != "" {
		return problemf(http.StatusBadRequest, "an Idempotency-Key is for a POST: "+
			"what a PUT that failed has kept is in its answer; POST /-/batch takes many events at once")
	}
	rc := http.NewResponseController(w)
	// bodyTime is for other requests: a line may be hours away.
	_ = rc.SetReadDeadline(time.Time{})
	defer context.AfterFunc(a.Closing, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })()
	f := &feed{ctx: r.Context(), log: a.Log, parse: parse}
	in := &lineReader{r: r.Body, limit: a.MaxEvent}
	err := a.follow(f, in)
	if err == nil {
		return f.done(w, r)
	}
	hangUp(w) // who sends a line an hour is told now, not after the next 256 KiB
	return f.partly(err)
}

// follow publishes lines until there are no more.
func (a *API) follow(f *feed, in *lineReader) error {
	for {
		lines, err := in.next()
		if failed := f.publish(lines); failed != nil {
			return failed
		}
		switch {
		case err == io.EOF:
			return nil
		case a.Closing.Err() != nil:
			return sse.ErrShutdown
		case err != nil:
			return err
		}
	}
}

// feed publishes lines.
type feed struct {
	ctx   context.Context
	log   Log
	parse func(line []byte) (sse.Entry, error)

	read, kept int
	last       string
}

// publish publishes lines. If one of them is wrong, those before it are published.
func (f *feed) publish(lines [][]byte) error {
	for len(lines) > 0 {
		n := min(len(lines), maxLines)
		entries := make([]sse.Entry, 0, n)
		var wrong error
		for _, line := range lines[:n] {
			entry, err := f.parse(line)
			if f.read++; err != nil {
				wrong = &atLine{err, f.read}
				break
			}
			entries = append(entries, entry)
		}
		if err := f.keep(entries); err != nil {
			return err
		}
		if wrong != nil {
			return wrong
		}
		lines = lines[n:]
	}
	return nil
}

// keep publishes entries at once or, if the broker refuses one of them, those before
// it.
func (f *feed) keep(entries []sse.Entry) error {
	err := f.publishAll(entries)
	var field *sse.FieldError
	if errors.As(err, &field) && len(entries) > 1 {
		for i := range entries {
			if err := f.publishAll(entries[i : i+1]); err != nil {
				return &atLine{err, f.read - len(entries) + i + 1}
			}
		}
	}
	return err
}

func (f *feed) publishAll(entries []sse.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	at, _, err := f.log.Publish(f.ctx, nil, entries...)
	if f.kept += len(at); len(at) > 0 {
		f.last = idOf(&entries[len(at)-1], at[len(at)-1])
	}
	return err
}

func (f *feed) partly(err error) error { return &partly{err, f.kept, f.last} }

func (f *feed) done(w http.ResponseWriter, r *http.Request) error {
	text := fmt.Sprintf("kept %d, last id %s\n", f.kept, f.last)
	if f.kept == 0 {
		text = "kept 0\n"
	}
	return answer(w, r, text, map[string]any{"kept": f.kept, "id": f.last})
}

// atLine is an error of a line.
type atLine struct {
	error
	line int
}

func (e *atLine) Error() string { return fmt.Sprintf("sse: line %d: %s", e.line, bare(e.error)) }
func (e *atLine) Unwrap() error { return e.error }

// lineReader splits what it reads into lines, as it comes.
//
//	buf   │ returned │ the next line's beginning │ room │
//	                 start                       n
type lineReader struct {
	r     io.Reader
	limit int
	buf   []byte
	start int
	n     int
}

// next returns the lines that have come, without their LF; at least one, but with
// an error. They are valid until it is called again.
func (l *lineReader) next() ([][]byte, error) {
	const room = 32 << 10
	l.n = copy(l.buf, l.buf[l.start:l.n])
	l.start = 0
	for {
		if len(l.buf)-l.n < room {
			l.buf = append(l.buf[:l.n], make([]byte, max(2*room, l.n))...)
		}
		n, err := l.r.Read(l.buf[l.n:])
		fresh := l.buf[l.n : l.n+n]
		l.n += n
		if end := bytes.LastIndexByte(fresh, '\n'); end >= 0 {
			l.start = l.n - n + end + 1
		}
		var lines [][]byte
		for line := range bytes.Lines(l.buf[:l.start]) {
			lines = append(lines, line[:len(line)-1])
		}
		switch {
		case err == io.EOF && l.start < l.n:
			return append(lines, l.buf[l.start:l.n]), err
		case err != nil:
			return lines, readError(err)
		case l.n-l.start > l.limit:
			return lines, tooLarge(l.limit)
		case len(lines) > 0:
			return lines, nil
		}
	}
}

// readError says what has become of a body that has not come to its end.
func readError(err error) error {
	if err == io.EOF {
		return err
	}
	return problemf(http.StatusBadRequest, "the body was cut off; the line that it was in is not kept")
}
