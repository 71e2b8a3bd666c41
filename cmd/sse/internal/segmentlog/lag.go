package segmentlog

import "sync"

// lag is the number of bytes that were appended and that the goroutine trim has not
// looked at. Append waits if there are too many, so that removed entries take a bounded
// part of the disk.
type lag struct {
	limit int64

	mu     sync.Mutex // guards the following
	behind int64      // bytes
	moved  signal     // behind has decreased
}

// newLag returns a lag whose limit is a sixteenth of the limit of the log, within
// bounds.
func newLag(all Retention) lag {
	const least, most = 1 << 20, 16 << 20
	limit := int64(most)
	if all.Bytes > 0 {
		limit = clamp(all.Bytes/16, least, most)
	}
	return lag{limit: limit}
}

func (l *lag) add(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind += bytes
}

func (l *lag) get() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// caughtUp notes that trim has looked at everything that was there when it was so many
// bytes behind.
func (l *lag) caughtUp(behind int64) {
	l.mu.Lock()
	l.behind -= behind
	l.mu.Unlock()
	l.moved.broadcast()
}
