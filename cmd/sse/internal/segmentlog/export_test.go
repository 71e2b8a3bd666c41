package segmentlog

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// PrepareWithoutSync prepares a log that acknowledges entries that may be lost.
func PrepareWithoutSync(dir string, opts *Options) (*Prepared, error) {
	return prepareFlawed(dir, opts, flaws{noSync: true})
}

// PrepareWithoutSums prepares a log that accepts a group that a crash has damaged.
func PrepareWithoutSums(dir string, opts *Options) (*Prepared, error) {
	return prepareFlawed(dir, opts, flaws{noSums: true})
}

func prepareFlawed(dir string, opts *Options, has flaws) (*Prepared, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return prepare(dir, o, has)
}

// Use takes over the sealed segments that an earlier call of Prepare has read.
func (p *Prepared) Use(earlier *Prepared) { p.sealed = earlier.sealed }

// Rebuild makes a closed log one that has only these entries, in the same epoch, as if
// an old copy of its segments and of its state had been restored. If all is true, the
// mark is missing as well.
func Rebuild(tb testing.TB, fsys vfs.FS, dir string, entries []sse.Entry, all bool) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	old := newFiles(fsys, dir, 1)
	was, err := old.readState()
	must(err)
	temporary := filepath.Join(dir, "temporary")
	log, err := Open(temporary, &Options{FS: fsys, Reserve: -1})
	must(err)
	_, err = log.Append(tb.Context(), sse.AppendRequest{Entries: entries})
	must(err)
	must(log.Close())
	names, err := fsys.List(dir)
	must(err)
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			must(fsys.Remove(filepath.Join(dir, name)))
		}
	}
	made := newFiles(fsys, temporary, 1)
	state, err := made.readState()
	must(err)
	names, err = fsys.List(temporary)
	must(err)
	for _, name := range names {
		p, err := made.read(name)
		must(err)
		if strings.HasSuffix(name, segmentSuffix) {
			var h header
			h.decode(p)
			h.log = was.id
			must(old.write(name, append(h.encode(), p[headerSize:]...)))
		}
		must(fsys.Remove(filepath.Join(temporary, name)))
	}
	must(fsys.Remove(temporary))
	state.id, state.epoch, state.keyed = was.id, was.epoch, was.keyed
	must(old.replace(stateName, state.encode()))
	if all {
		must(fsys.Remove(filepath.Join(dir, markName)))
	}
}

// Entries returns the number and the cost of the entries that the log counts.
func (l *Log) Entries() (entries, bytes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live.entries, l.live.bytes
}

// Marks returns the number of loss marks.
func (l *Log) Marks() int {
	l.losses.mu.RLock()
	defer l.losses.mu.RUnlock()
	return len(l.losses.marks)
}

// Remembered returns the number of idempotency keys that the log remembers.
func (l *Log) Remembered() (int, error) {
	l.keys.mu.Lock()
	hashes, files := map[keyHash]bool{}, l.keys.files
	for hash := range l.keys.tail {
		hashes[hash] = true
	}
	l.keys.mu.Unlock()
	for _, file := range files {
		for i := range file.n {
			p, err := file.read(int64(i)*keyRefSize+8, 4)
			if err != nil {
				return 0, err
			}
			record, err := file.record(int64(binary.LittleEndian.Uint32(p)))
			if err != nil {
				return 0, err
			}
			hashes[record.hash] = true
		}
	}
	n := 0
	for hash := range hashes {
		record, err := l.keys.find(hash, func(string, error) {})
		if err != nil {
			return 0, err
		}
		if record != nil {
			n++
		}
	}
	return n, nil
}
