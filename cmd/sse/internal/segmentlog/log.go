// Package segmentlog is an [sse.EventLog] in files of a directory. Entries that it has
// acknowledged are there after a crash of the process or of the machine.
//
// Entries are in segments: files to which the log only appends (frame.go). The last
// segment is the tail. A segment that has reached its size is sealed: it gets a footer
// with an index (footer.go), and a new tail begins. The state file has what the segments
// do not contain, such as which entries were removed (state.go). The documentation of
// the format is in docs/LOG.md.
//
// # Goroutines and locks
//
// One goroutine, commit, writes entries and seals segments. Another, trim, removes
// entries by the rules of retention, rewrites segments and removes files. Close waits
// for both. Readers hold locks only for moments. They work on the segments that were
// there when they began, and may not find entries that trim removes meanwhile. So they
// look at the loss marks last.
//
// Lock order: trimming, stating, reading, mu, memIndex.mu, losses.mu.
package segmentlog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse"
)

// ErrClosed is the error of the methods of a closed log.
var ErrClosed = errors.New("sse: log closed")

var _ sse.EventLog = (*Log)(nil)

// Log is an [sse.EventLog] in a directory. Use [Open]. Its methods are safe for
// concurrent use.
type Log struct {
	dir         string
	files       *files
	cache       *blockCache
	segmentSize int64
	rules       []Retention
	overall     Retention
	ages        []time.Duration // of the rules
	now         func() time.Time
	logger      *slog.Logger
	fatal       func(error)
	onDamage    func(Damage)
	space       *space
	presence    *presence
	unlock      io.Closer
	flaws       flaws

	id     uint64 // identifies the log
	epoch  uint64
	key    [16]byte // the secret of the positions
	keyed  uint64   // fingerprint of the key
	mark   *mark
	opened uint64 // the newest entry when the log was opened

	requests chan *request
	seals    chan chan<- error // asks commit for a new tail
	closing  chan struct{}     // closed when Close is called
	stopped  chan struct{}     // closed when commit has ended
	running  sync.WaitGroup
	close    func() error // closes once

	failOnce sync.Once
	failed   chan struct{} // closed when failure is set
	failure  error

	end     atomic.Pointer[place] // the newest entry that is stored
	changed signal                // end has moved
	recent  recent
	losses  losses
	keys    *keys
	written written // used by commit

	reading sync.RWMutex // readers hold it for reading
	closed  bool         // guarded by reading

	trimming sync.Mutex               // held by a goroutine that removes entries
	sweeps   map[time.Duration]uint64 // guarded by trimming and mu
	garbage  []string                 // names of files to remove; guarded by trimming
	wake     chan struct{}            // has an element if trim has to look
	lag      lag
	damage   damage

	stating sync.Mutex // held by a goroutine that writes the state

	mu           sync.Mutex                 // guards the following
	segments     atomic.Pointer[[]*segment] // by base; the last one is the tail
	tail         *tail                      // commit uses it without mu
	live         count                      // of all segments
	counts       counts
	changedState bool // since the state was written
}

// Open opens the log in a directory, in one step: it calls [Prepare] and [Prepared.Open],
// and does not wait for the lock.
func Open(dir string, opts *Options) (*Log, error) {
	p, err := Prepare(dir, opts)
	if err != nil {
		return nil, err
	}
	return p.Open(context.Background(), 0)
}

// flaws are mistakes that the log makes on purpose, for the tests which show that other
// tests detect them.
type flaws struct {
	noSync bool // acknowledges entries that may be lost
	noSums bool // accepts a group that a crash has damaged
}

// start starts the goroutines of the log.
func (l *Log) start() {
	l.running.Go(l.commit)
	l.running.Go(l.trim)
	if l.presence != nil {
		l.running.Go(l.watch)
	}
}

func newLog(dir string, o *Options, has flaws) *Log {
	l := &Log{
		dir: dir, files: newFiles(o.FS, dir, o.OpenFiles), cache: newBlockCache(o.Cache),
		segmentSize: o.SegmentSize, rules: o.Retention, overall: overall(o.Retention),
		ages: agesOf(o.Retention), now: o.Now, logger: o.Logger, fatal: o.Fatal, flaws: has,
		onDamage: o.OnDamage,
		requests: make(chan *request, queued), seals: make(chan chan<- error),
		closing: make(chan struct{}),
		stopped: make(chan struct{}), failed: make(chan struct{}),
		wake: make(chan struct{}, 1), keys: newKeys(o), sweeps: map[time.Duration]uint64{},
	}
	l.space = &space{files: l.files, size: o.Reserve, logger: o.Logger}
	l.losses = losses{limit: o.LossMarks, marks: map[string]lossMark{}}
	l.lag = newLag(l.overall)
	l.counts = newCounts(o.Retention)
	l.close = sync.OnceValue(l.closeOnce)
	return l
}

// makeDir creates the directory, and the missing ones above it, so that they are there
// after a crash.
func (l *Log) makeDir() error {
	fsys := l.files.fs
	parents := []string{filepath.Dir(l.dir)}
	for dir := parents[0]; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := fsys.List(dir); !isMissing(err) {
			break
		}
		parents = append(parents, filepath.Dir(dir))
	}
	if err := fsys.MkdirAll(l.dir); err != nil {
		return err
	}
	for _, dir := range parents {
		if err := fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// list returns the segments. The slice must not be changed.
func (l *Log) list() []*segment { return *l.segments.Load() }

// setSegments replaces the segments. l.mu is held, or nobody else has the log yet. The
// capacity of the slice is cut, so that append copies it.
func (l *Log) setSegments(segments []*segment) {
	segments = segments[:len(segments):len(segments)]
	l.segments.Store(&segments)
}

// watch is the goroutine that notices, while nothing is appended, that the directory
// has vanished.
func (l *Log) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.mu.Lock()
			name := l.tail.name
			l.mu.Unlock()
			_ = l.checkPresence(name) // it reports the error itself
		case <-l.closing:
			return
		case <-l.failed:
			return
		}
	}
}

// CheckSpace returns an error that wraps [syscall.ENOSPC] if the disk is too full
// to append entries. It also notices that the disk has space again.
func (l *Log) CheckSpace() error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	return l.space.admit(0)
}

// Close ends the goroutines of the log and closes its files. An Append whose entries
// are being written ends normally. All other calls return [ErrClosed], and so does
// Follow.
func (l *Log) Close() error { return l.close() }

func (l *Log) closeOnce() error {
	close(l.closing)
	ended := make(chan struct{})
	go func() {
		l.running.Wait()
		l.trimming.Lock() // the callers of Trim and Delete have returned
		defer l.trimming.Unlock()
		l.reading.Lock()
		l.closed = true
		l.reading.Unlock()
		close(ended)
	}()
	select {
	case <-ended:
	case <-l.failed:
		return l.failure // the lock is released when the process ends
	}
	err := l.tail.cut()
	if l.changedState {
		err = errors.Join(err, l.writeState())
	}
	err = errors.Join(err, l.tail.file.Close())
	l.files.close()
	l.mark.set(marked{epoch: l.epoch, acked: l.end.Load().seq, closed: err == nil})
	return errors.Join(err, l.mark.close(), l.unlock.Close())
}

// enter begins to read, if the log is open. exit ends it.
func (l *Log) enter() error {
	l.reading.RLock()
	if l.closed {
		l.reading.RUnlock()
		return ErrClosed
	}
	return nil
}

func (l *Log) exit() { l.reading.RUnlock() }
