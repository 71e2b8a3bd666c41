package segmentlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// OldFormatError is the error if the directory has a log of an older version of this
// program, which stored events in Pebble.
type OldFormatError struct{ Dir string }

func (e *OldFormatError) Error() string {
	return fmt.Sprintf("sse: %s has events in the format of an older version", e.Dir)
}

// oldStoreName is the name of a directory that only the old format has.
const oldStoreName = "store"

// load finds out what the log has, and where and in which epoch it continues.
func (l *Log) load(p *Prepared) error {
	names, err := l.files.fs.List(l.dir)
	if err != nil {
		return err
	}
	ld := &loader{Log: l, names: names, sealed: &p.sealed, buf: p.buf, newEpoch: p.opts.NewEpoch}
	if ld.has(oldStoreName) {
		return &OldFormatError{l.dir}
	}
	// Until adopt, nothing is changed, so that an error leaves the log as it was.
	for _, step := range []func() error{
		ld.state, ld.marks, ld.loadSegments, ld.openKey, ld.reserve, ld.adopt, ld.loadKeys,
		ld.begin,
	} {
		if err := step(); err != nil {
			if l.mark != nil {
				err = errors.Join(err, l.mark.file.Close())
			}
			if l.tail != nil {
				err = errors.Join(err, l.tail.file.Close())
			}
			return err
		}
	}
	l.presence, err = newPresence(l.files.fs, l.dir)
	return err
}

// loader loads a log.
type loader struct {
	*Log
	names    []string // of the files in the directory, sorted
	sealed   *sealed  // read by Prepare; empty if the log is another one now
	buf      []byte   // for the content of a segment
	newEpoch bool
	isNew    bool
	known    *logState // nil if there was no state
	life     life
	isCopy   bool
	lost     string // why the log begins a new epoch
	changed  bool   // the state has to be written
	found    []*segment
	last     string                // name of the last segment that was found
	lastEnd  int64                 // where its groups end
	stored   uint64                // number of the newest entry that was found
	scans    map[*segment]*scanned // of the segments that have no footer
	obsolete []string              // names of segments that do not belong to the log any more
}

// has reports whether the directory has a file.
func (l *loader) has(name string) bool {
	_, ok := slices.BinarySearch(l.names, name)
	return ok
}

// reserve creates the reserve. If the disk has no space for it, a log that has events is
// opened nevertheless, so that they can be read.
func (l *loader) reserve() error {
	err := l.space.open()
	switch {
	case err == nil:
		return nil
	case isFull(err) && !l.isNew:
		l.space.setFull()
		return nil
	}
	return fmt.Errorf("the reserve: %w", err)
}

// state reads the state file.
func (l *loader) state() error {
	known, err := l.files.readState()
	var bad *StateError
	if err != nil && !(errors.As(err, &bad) && l.newEpoch && !bad.Newer) {
		return err
	}
	if !l.sealed.isOf(known) {
		l.sealed = &sealed{}
	}
	if known != nil {
		l.known, l.id, l.epoch, l.keyed = known, known.id, known.epoch, known.keyed
		return nil
	}
	id, err := l.idFromSegments()
	switch {
	case err != nil:
		return err
	case id == 0:
		l.isNew = true
	case bad == nil && !l.newEpoch:
		return &StateError{l.files.path(stateName), "is missing", false}
	default:
		l.lost = "its state was lost, so that events which were removed may be there again"
	}
	l.id, l.changed = cmp.Or(id, newMarker()|1), true
	return nil
}

// idFromSegments returns the ID of the log that is in the segments, or zero if no
// segment has entries.
func (l *loader) idFromSegments() (uint64, error) {
	for _, name := range l.names {
		if _, _, ok := parseSegmentName(name); !ok {
			continue
		}
		p, err := l.files.read(name)
		if err != nil {
			return 0, err
		}
		var h header
		if len(p) > headerSize && h.decode(p) {
			return h.log, nil
		}
	}
	return 0, nil
}

// marks reads the files that show that the end of the log was lost.
func (l *loader) marks() (err error) {
	if l.life, err = l.readLife(); err != nil {
		return err
	}
	l.isCopy = l.Log.isCopy(l.life)
	l.mark, err = openMark(l.files.fs, l.files.path(markName))
	return err
}

// begin begins the epoch, or continues it.
func (l *loader) begin() error {
	if err := l.findSum(); err != nil {
		return err
	}
	if l.lost == "" && !l.isNew {
		l.lost = l.lostLife()
	}
	l.say()
	if l.isNew || l.lost != "" {
		if err := l.drawEpoch(); err != nil {
			return err
		}
		l.changed = true
	}
	l.opened = l.end.Load().seq
	l.mark.set(marked{epoch: l.epoch, acked: l.opened})
	if l.changed || !l.mark.was.closed { // the state may vanish in a crash
		return l.writeState()
	}
	return nil
}

// lostLife returns the reason why the log must begin a new epoch, or an empty string.
func (l *loader) lostLife() string {
	end := l.stored
	switch {
	case l.life.epoch == 0:
		return "the file with its epoch is missing or damaged"
	case l.life.epoch != l.epoch:
		return "the file with its epoch is of another log"
	case l.isCopy:
		return "it is a copy, such as a restored backup"
	case l.mark.was.epoch == l.epoch && l.mark.was.acked > end:
		l.report(cmp.Or(l.last, l.tail.name), l.lastEnd, fmt.Sprintf("the events %d to %d are "+
			"missing at its end", end+1, l.mark.was.acked))
		return fmt.Sprintf("it ends at number %d, but %d was acknowledged", end, l.mark.was.acked)
	}
	return ""
}

// findSum finds the sum of the newest entry, if the header that should have it is damaged.
func (l *loader) findSum() error {
	end := *l.end.Load()
	if end.sum != 0 || end.seq == 0 {
		return nil
	}
	f := seeker{Log: l.Log}
	defer f.frames.close()
	sum, _, err := f.sumAt(end.seq)
	end.sum = sum
	l.end.Store(&end)
	return err
}

// say logs what was found.
func (l *loader) say() {
	end := l.end.Load().seq
	switch was := l.mark.was; {
	case l.isNew && was.acked > 0:
		l.logger.Warn("sse: the log begins a new epoch, because all its events are missing",
			"dir", l.dir, "end", was.acked)
	case l.isNew:
	case l.lost != "":
		l.logger.Warn("sse: the log begins a new epoch, because "+l.lost, "dir", l.dir, "end", end)
	case !was.closed:
		l.logger.Warn("sse: the log was not closed: Open cuts off a write that is not complete, "+
			"but no acknowledged event", "dir", l.dir, "end", end)
	}
}

// openKey reads the key of the log, or draws it.
func (l *loader) openKey() error {
	s, err := l.readSecret()
	if err != nil {
		return err
	}
	switch {
	case l.isNew:
		s.lost = "is of another log" // or its name was not synced
	case l.newEpoch:
		s.lost, l.lost = "is replaced", cmp.Or(l.lost, "it was asked for")
	case s.lost == "" && s.fingerprint() != l.keyed:
		s.lost = "is of another log"
		fallthrough
	case s.lost != "":
		if l.end.Load().seq > 0 {
			return &MissingKeyError{l.files.path(keyName), s.lost}
		}
		l.lost = cmp.Or(l.lost, "its key was lost")
	}
	if s.lost != "" {
		if s, err = l.drawSecret(); err != nil {
			return err
		}
		l.changed = true
	}
	l.key, l.keyed = s.key, s.fingerprint()
	return nil
}

// loadKeys opens the key files.
func (l *loader) loadKeys() error {
	names := map[string]bool{}
	if l.known != nil {
		for _, name := range l.known.keyFiles {
			names[name] = true
		}
	}
	for _, s := range l.found {
		if f, ok := s.index().(*footer); ok && f.keys > 0 && l.isAfterState(s.base) {
			names[keyFileName(s.base)] = true
		}
	}
	for _, name := range l.names {
		if strings.HasSuffix(name, keySuffix) && !names[name] && l.known != nil {
			if err := l.files.remove(name); err != nil {
				return err
			}
		}
		if strings.HasSuffix(name, keySuffix) && l.known == nil {
			names[name] = true
		}
	}
	for name := range names {
		file, err := l.keyFile(name)
		if isMissing(err) || errors.Is(err, errIndex) {
			l.reportKeys(name, err)
			l.changed = true
			continue
		}
		if err != nil {
			return err
		}
		l.keys.addLocked(file)
	}
	slices.SortFunc(l.keys.files, func(a, b *keyFile) int { return cmp.Compare(a.name, b.name) })
	return nil
}

// keyFile opens a key file.
func (l *loader) keyFile(name string) (*keyFile, error) {
	if file := l.sealed.keyFiles[name]; file != nil && l.has(name) {
		return l.useKeyFile(file), nil
	}
	return l.openKeyFile(name)
}

// reportKeys reports that the keys of a file are lost.
func (l *Log) reportKeys(name string, err error) {
	if l.onDamage != nil {
		what := "its idempotency keys are lost: a request that is repeated with one of them is " +
			"published again"
		if isMissing(err) {
			what = "the file is missing: " + what
		}
		l.onDamage(Damage{name, 0, what})
		return
	}
	l.logger.Error("sse: idempotency keys are lost: a request that is repeated with one of "+
		"them is published again", "file", l.files.path(name), "err", err)
}

// isAfterState reports whether a segment may have been sealed after the state was
// written.
func (l *loader) isAfterState(base uint64) bool {
	return l.known == nil || base >= l.known.segments[len(l.known.segments)-1].base
}
