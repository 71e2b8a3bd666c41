// Package disklog is an [sse.EventLog] on a disk: what it has acknowledged is
// there after a crash, of the process or of the machine.
//
// It keeps entries in Pebble, as ADR 10 explains, and is the only package that
// knows that. What is in the store is drawn in keys.go; what lies beside it, and
// how a loss is noticed, is told in epoch.go; what happens when the disk is full,
// in space.go.
//
// # Goroutines and locks
//
// One goroutine, commit, writes what is appended; another, trim, removes what
// retention does not keep. Both belong to the Log, and Close waits for them.
// Readers take no lock but for moments: they look into the store, up to the
// number that commit has published, and need not find all that they look for,
// because trim may remove it meanwhile; so they ask for the loss marks last.
//
// Lock order: trimming, reading, mu, losses.mu.
package disklog

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// ErrClosed is what a log returns that has been closed.
var ErrClosed = errors.New("sse: log closed")

// Log is an [sse.EventLog] in a directory. Use [Open]. Its methods are safe for
// concurrent use.
type Log struct {
	dir     string
	db      *pebble.DB
	epoch   uint64
	key     [16]byte // the secret of the positions
	rules   []Retention
	overall Retention
	window  time.Duration
	now     func() time.Time
	logger  *slog.Logger
	space   *space
	mark    *mark
	unlock  func() error
	noSync  bool // for the test which shows that the others would notice

	requests chan *request
	closing  chan struct{} // closed when Close is called
	stopped  chan struct{} // closed when commit has ended
	running  sync.WaitGroup
	close    func() error // closes once
	failed   failure      // that of the disk

	published atomic.Pointer[place] // the newest entry that is kept
	first     atomic.Uint64         // no entry before it is kept
	changed   signal                // published has moved

	losses losses
	keys   keys
	due    due

	reading sync.RWMutex // held, for reading, by who reads the store
	closed  bool         // guarded by reading

	trimming  sync.Mutex // held by who removes entries; guards the following
	sweeps    map[time.Duration]uint64
	undropped int64 // what entries cost that are only out of sight
	lag       lag   // how far trim is behind
	crowd     crowd

	mu     sync.Mutex // guards the following, and the order of batches
	state  logState
	topics topics
}

// Open opens the log in a directory, which it creates if need be. Nobody else
// must have it open: then the error is a [*LockedError].
//
// It returns when the log is ready, however many entries there are: it reads
// none of them. On a full disk, it may have to wait for space, which it logs.
func Open(dir string, opts *Options) (*Log, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return open(dir, o, false)
}

func open(dir string, o Options, noSync bool) (log *Log, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("sse: the log's directory: %w", err)
	}
	l := newLog(dir, &o, noSync)
	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range undo {
				err = errors.Join(err, f())
			}
		}
	}()
	if err := makeDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("sse: the directory of the log: %w", err)
	}
	locked, err := lock(o.FS, dir, o.LockWait)
	if err != nil {
		return nil, err
	}
	l.unlock = locked.Close
	undo = append(undo, l.unlock)
	if err := l.space.open(); err != nil {
		return nil, fmt.Errorf("sse: the reserve of the log: %w", err)
	}
	if l.db, err = pebble.Open(l.space.PathJoin(dir, storeName), l.storeOptions(&o)); err != nil {
		return nil, fmt.Errorf("sse: the log in %s: %w", dir, err)
	}
	undo = append([]func() error{l.db.Close}, undo...)
	if err := l.begin(o.NewEpoch); err != nil {
		return nil, fmt.Errorf("sse: the log in %s: %w", dir, err)
	}
	presence, err := newPresence(l.space, dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sse: the log in %s: %w", dir, err), l.mark.file.Close())
	}
	l.failed.presence.Store(presence)
	l.undropped = 1 // there may be some from before
	l.due.addAll()  // the rules may be others than the last time
	l.running.Add(2)
	go func() { defer l.running.Done(); l.commit() }()
	go func() { defer l.running.Done(); l.trim() }()
	if presence != nil {
		l.running.Go(l.watch)
	}
	return l, nil
}

func newLog(dir string, o *Options, noSync bool) *Log {
	l := &Log{
		dir: dir, noSync: noSync,
		rules: o.Retention, overall: overall(o.Retention), window: o.KeyWindow,
		now: o.Now, logger: o.Logger,
		requests: make(chan *request, queued),
		closing:  make(chan struct{}), stopped: make(chan struct{}),
	}
	l.failed = failure{ch: make(chan struct{}), logger: o.Logger, fatal: o.Fatal}
	l.space = &space{
		FS: o.FS, reserve: o.FS.PathJoin(dir, reserveName), size: o.Reserve,
		logger: o.Logger, closing: l.closing,
	}
	l.losses.limit = o.LossMarks
	l.keys = keys{
		limit: uint64(o.Keys), logged: map[string]time.Time{}, busy: map[idHash]chan struct{}{},
	}
	l.lag = newLag(l.overall)
	l.crowd = newCrowd(l.overall)
	l.due = due{topics: map[string]struct{}{}, wake: make(chan struct{}, 1)}
	l.close = sync.OnceValue(l.closeOnce)
	return l
}

// begin finds out where the log ends, and in which epoch it goes on.
func (l *Log) begin(newEpoch bool) error {
	isNew, err := l.loadState()
	if err != nil {
		return err
	}
	lost, err := l.openKey(isNew, newEpoch)
	if err != nil {
		return err
	}
	was, err := readLife(l.space, l.dir)
	if err != nil {
		return err
	}
	if l.mark, err = openMark(l.space, l.dir); err != nil {
		return err
	}
	if !isNew {
		if why := lostLife(&l.state, was, was.isCopy(l.space, l.dir), l.mark.was); lost == "" {
			lost = why
		}
		l.say(lost)
	}
	if isNew || lost != "" {
		if err := l.newEpoch(); err != nil {
			return errors.Join(err, l.mark.file.Close())
		}
	}
	l.epoch = l.state.epoch
	// A copy: commit changes the state before what it writes is synced, and may be
	// seen.
	last := l.state.last
	l.published.Store(&last)
	l.first.Store(l.state.first)
	l.mark.set(marked{epoch: l.epoch, acked: l.state.last.seq})
	l.topics = topics{
		db: l.db, rules: l.rules,
		cache: map[string]*topicState{}, dirty: map[string]*topicState{},
	}
	if err := l.losses.load(l.db, l.state.lost); err != nil {
		return errors.Join(err, l.mark.file.Close())
	}
	return nil
}

func (l *Log) loadState() (isNew bool, err error) {
	value, closer, err := l.db.Get([]byte{logKey})
	if errors.Is(err, pebble.ErrNotFound) {
		l.state.first = 1
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	return false, l.state.decode(value)
}

// say tells what was found.
func (l *Log) say(lost string) {
	switch was := l.mark.was; {
	case lost != "":
		l.logger.Warn("sse: the log begins a new epoch, because "+lost,
			"dir", l.dir, "end", l.state.last.seq)
	case !was.closed:
		l.logger.Warn("sse: the log was not closed: what was not written to its end is cut off, "+
			"nothing that was acknowledged", "dir", l.dir, "end", l.state.last.seq)
	}
}

// newEpoch keeps what the log has. Its numbers go on.
func (l *Log) newEpoch() error {
	begun, err := begin(l.space, l.dir)
	if err != nil {
		return err
	}
	l.state.epoch = begun.epoch
	return l.db.Set([]byte{logKey}, l.state.encode(nil), pebble.Sync)
}

// publish lets readers see what was kept.
func (l *Log) publish(state logState) {
	l.mark.set(marked{epoch: l.epoch, acked: state.last.seq})
	l.published.Store(&state.last)
	l.changed.broadcast()
}

// Close ends what is running and closes the log. Appends that have begun to be
// written are finished; everything else returns [ErrClosed], Follow as well.
func (l *Log) Close() error { return l.close() }

func (l *Log) closeOnce() error {
	close(l.closing)
	ended := make(chan struct{})
	go func() {
		l.running.Wait()
		l.trimming.Lock() // whoever called Trim or Delete is done
		defer l.trimming.Unlock()
		l.reading.Lock()
		l.closed = true
		l.reading.Unlock()
		close(ended)
	}()
	select {
	case <-ended:
	case <-l.failed.ch:
	}
	if err := l.failed.cause(); err != nil {
		// The store must not be touched again, and does not let go of who is in it;
		// the lock goes with the process.
		return err
	}
	err := l.closeStore()
	l.mark.set(marked{epoch: l.epoch, acked: l.state.last.seq, closed: err == nil})
	return errors.Join(err, l.mark.close(), l.unlock())
}

// closeStore waits for the store to end, or to fail.
func (l *Log) closeStore() error {
	done := make(chan error, 1)
	go func() { done <- l.db.Close() }()
	select {
	case err := <-done:
		return err
	case <-l.failed.ch:
		return l.failed.cause()
	}
}

// enter begins to read the store, if it is open; exit ends it.
func (l *Log) enter() error {
	l.reading.RLock()
	if l.closed {
		l.reading.RUnlock()
		return ErrClosed
	}
	return nil
}

func (l *Log) exit() { l.reading.RUnlock() }
