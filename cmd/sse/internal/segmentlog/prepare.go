package segmentlog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Prepared is a log whose sealed segments were read, and which can be opened quickly.
// Its methods are not safe for concurrent use.
type Prepared struct {
	dir    string
	opts   Options
	flaws  flaws
	sealed sealed
	buf    []byte // for the tail: memory that was used before is faster than new memory
}

// Prepare is the first of two steps that open a log. It reads the ends of the sealed
// segments. It also reads the tail, so that the system has it in memory. [Prepared.Open]
// is the second step. It locks the directory and reads the tail.
//
// Prepare needs no lock, because the files that it reads do not change. So a process can
// prepare the log of another process, which still writes to it, and open the log as soon
// as the other process has closed it.
//
// Prepare changes nothing. It returns an error only if the options are wrong. If it
// cannot read a file, Prepared.Open tries again, and returns the error.
func Prepare(dir string, opts *Options) (*Prepared, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return prepare(dir, o, flaws{})
}

func prepare(dir string, o Options, has flaws) (*Prepared, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("sse: the log's directory: %w", err)
	}
	p := &Prepared{dir: dir, opts: o, flaws: has}
	files := newFiles(o.FS, dir, 0)
	if tail := p.sealed.read(files); tail != "" {
		p.readTail(files, tail)
	}
	return p, nil
}

// readTail reads a file and forgets its content.
func (p *Prepared) readTail(files *files, name string) {
	file, err := files.fs.Open(files.path(name))
	if err != nil {
		return
	}
	defer file.Close()
	if size, err := file.Size(); err == nil && size <= maxFile {
		p.buf = make([]byte, size, size+size/4)
		_ = readFull(file, p.buf, 0)
	}
}

// Open is the second step. It locks the directory, which it creates if there is none.
// If another process or another Log has the directory open, Open waits for the lock, but
// at most for the duration wait, and only until ctx is done. Then the error is a
// [*LockedError], and Open can be called again.
//
// Open reads the last segment, and of other segments only the end of those that were
// sealed after Prepare. If the disk is full, Open opens a log that has events, and Append
// returns an error until there is space.
func (p *Prepared) Open(ctx context.Context, wait time.Duration) (*Log, error) {
	l := newLog(p.dir, &p.opts, p.flaws)
	if err := l.makeDir(); err != nil {
		return nil, fmt.Errorf("sse: the directory of the log: %w", err)
	}
	if err := p.load(ctx, l, wait); err != nil {
		return nil, err
	}
	l.start()
	return l, nil
}

// load locks the directory, and loads the log.
func (p *Prepared) load(ctx context.Context, l *Log, wait time.Duration) (err error) {
	if l.unlock, err = lock(ctx, p.opts.FS, p.dir, wait); err != nil {
		return err
	}
	if err := l.load(p); err != nil {
		l.files.close()
		return errors.Join(fmt.Errorf("sse: the log in %s: %w", p.dir, err), l.unlock.Close())
	}
	return nil
}

// sealed has the ends of sealed segments and of their key files, by the names of the
// files. A name stands for one content as long as the log is in the same epoch: a segment
// that is written again gets another name, and only a new epoch uses numbers again.
type sealed struct {
	id, epoch uint64 // of the log
	segments  map[string]segmentEnds
	keyFiles  map[string]*keyFile
}

// read reads all files that it can read. It returns the name of the tail.
func (s *sealed) read(f *files) (tail string) {
	state, err := f.readState()
	if err != nil || state == nil {
		return ""
	}
	names, err := f.fs.List(f.dir)
	if err != nil {
		return ""
	}
	s.id, s.epoch = state.id, state.epoch
	s.segments, s.keyFiles = map[string]segmentEnds{}, map[string]*keyFile{}
	for _, name := range names {
		if _, _, ok := parseSegmentName(name); ok {
			ends, err := f.readEnds(name, s.id, nil)
			if err == nil && ends.trailer != nil {
				s.segments[name] = ends
			} else if err == nil {
				tail = name
			}
		}
		if strings.HasSuffix(name, keySuffix) {
			if file, err := f.readKeyFile(name); err == nil {
				s.keyFiles[name] = file
			}
		}
	}
	return tail
}

// isOf reports whether the log is still the same one, in the same epoch.
func (s *sealed) isOf(state *logState) bool {
	return state != nil && s.id == state.id && s.epoch == state.epoch
}
