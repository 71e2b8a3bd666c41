package disklog

import (
	"strings"
	"sync"
)

// lag is how much was appended that trim has not looked at: Append waits when it
// is too much, so that what is to be removed takes a bounded part of the disk.
type lag struct {
	limit int64

	mu     sync.Mutex // guards the following
	behind int64      // bytes
	moved  signal     // behind is less
}

// newLag allows for a sixteenth of what the log may have, within reason.
func newLag(all Retention) lag {
	const least, most = 1 << 20, 16 << 20
	limit := int64(most)
	if all.Bytes > 0 {
		limit = min(max(all.Bytes/16, least), most)
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

// caughtUp notes that trim has done what there was to do when it was so much
// behind.
func (l *lag) caughtUp(behind int64) {
	l.mu.Lock()
	l.behind -= behind
	l.mu.Unlock()
	l.moved.broadcast()
}

// due is what trim has to look at.
type due struct {
	wake chan struct{} // has an element if trim is to look

	mu     sync.Mutex // guards the following
	topics map[string]struct{}
	all    bool // too many to name: look at all topics
}

// mostDue bounds the topics that are named.
const mostDue = 1 << 16

func (d *due) add(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.topics[topic]; ok || d.all {
		return
	}
	if len(d.topics) == mostDue {
		d.all = true
		clear(d.topics)
		return
	}
	d.topics[strings.Clone(topic)] = struct{}{}
}

func (d *due) addAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = true
	clear(d.topics)
}

// take returns what is due, and begins anew.
func (d *due) take() (topics map[string]struct{}, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	topics, all = d.topics, d.all
	d.topics, d.all = map[string]struct{}{}, false
	return topics, all
}

func (d *due) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all || len(d.topics) > 0
}

// now makes trim look.
func (d *due) now() {
	select {
	case d.wake <- struct{}{}:
	default: // it will look anyway
	}
}
