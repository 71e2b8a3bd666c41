package disklog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A log whose end was lost must not use its numbers again in the same epoch. Two
// files beside the store tell, where it can be told:
//
// The life file has the epoch and the moment at which the file itself came into
// being, as the file system says. The file is never written again. A copy, such
// as a restored backup, has come into being later. Where the file system does
// not say (and for a snapshot of a whole disk, where it says the same) this
// tells nothing; then [sse.Position.Check] does, for all that come back with a
// position of which the log has an entry.
//
// The mark file has the newest number that was acknowledged. It is written after
// each sync, and not synced itself: so it is never ahead of what was kept, and
// after a kill of the process it is exact. A store that ends before the mark has
// lost something: a part of it was restored, or its newest files were damaged or
// removed.
const (
	lifeName = "epoch"
	markName = "mark"
)

// life is what the life file says.
type life struct {
	epoch uint64
	born  int64 // nanoseconds; zero if the file system does not say
}

const lifeForm = "sse log, epoch %016x, born %d\n"

// readLife returns the zero life if there is no such file, or it is damaged.
func readLife(fsys vfs.FS, dir string) (life, error) {
	f, err := fsys.Open(fsys.PathJoin(dir, lifeName))
	if errors.Is(err, fs.ErrNotExist) {
		return life{}, nil
	}
	if err != nil {
		return life{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return life{}, err
	}
	var l life
	if _, err := fmt.Sscanf(string(text), lifeForm, &l.epoch, &l.born); err != nil {
		return life{}, nil
	}
	return l, nil
}

// isCopy reports whether the life file has come into being after it was written.
func (l life) isCopy(fsys vfs.FS, dir string) bool {
	born := bornAt(fsys, fsys.PathJoin(dir, lifeName))
	return l.born != 0 && born != 0 && l.born != born
}

// bornAt is when a file came into being, or zero. Only the operating system's
// files have such a time.
func bornAt(fsys vfs.FS, name string) int64 {
	if vfs.Root(fsys) != vfs.Default {
		return 0
	}
	return birthTime(name)
}

// begin draws an epoch and writes the life file, which replaces another one only
// when it is complete.
func begin(fsys vfs.FS, dir string) (life, error) {
	var random [8]byte
	rand.Read(random[:]) // never fails
	l := life{epoch: binary.BigEndian.Uint64(random[:]) | 1}
	draft := fsys.PathJoin(dir, lifeName+".new")
	f, err := fsys.Create(draft, vfs.WriteCategoryUnspecified)
	if err != nil {
		return life{}, err
	}
	l.born = bornAt(fsys, draft)
	_, err = fmt.Fprintf(f, lifeForm, l.epoch, l.born)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return life{}, err
	}
	if err := fsys.Rename(draft, fsys.PathJoin(dir, lifeName)); err != nil {
		return life{}, err
	}
	return l, syncDir(fsys, dir)
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mark is the open mark file.
type mark struct {
	file vfs.File
	was  marked
}

// marked is what the mark file says.
type marked struct {
	epoch  uint64
	acked  uint64
	closed bool // the log was closed, and its end is the mark exactly
}

const markSize = 8 + 8 + 1 + 4

func openMark(fsys vfs.FS, dir string) (*mark, error) {
	f, err := fsys.OpenReadWrite(fsys.PathJoin(dir, markName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	m := &mark{file: f}
	var buf [markSize]byte
	if n, _ := f.ReadAt(buf[:], 0); n == markSize &&
		crc32.ChecksumIEEE(buf[:17]) == binary.BigEndian.Uint32(buf[17:]) {
		m.was = marked{
			epoch: binary.BigEndian.Uint64(buf[:]), acked: binary.BigEndian.Uint64(buf[8:]),
			closed: buf[16] != 0,
		}
	}
	return m, nil
}

// set writes the mark, but does not sync it. That it cannot be written harms
// nobody: an old mark tells less.
func (m *mark) set(now marked) {
	var buf [markSize]byte
	binary.BigEndian.PutUint64(buf[:], now.epoch)
	binary.BigEndian.PutUint64(buf[8:], now.acked)
	if now.closed {
		buf[16] = 1
	}
	binary.BigEndian.PutUint32(buf[17:], crc32.ChecksumIEEE(buf[:17]))
	_, _ = m.file.WriteAt(buf[:], 0)
}

func (m *mark) close() error { return errors.Join(m.file.Sync(), m.file.Close()) }

// lostLife says why a store with this state, found beside these files, has to
// begin another epoch, or nothing.
func lostLife(state *logState, was life, copied bool, mark marked) string {
	switch {
	case was.epoch == 0:
		return "the file with its epoch is missing or damaged"
	case was.epoch != state.epoch:
		return "the file with its epoch is that of another log"
	case copied:
		return "it is a copy, such as a restored backup"
	case mark.epoch == state.epoch && mark.acked > state.last.seq:
		return fmt.Sprintf("it ends at number %d, but %d was acknowledged",
			state.last.seq, mark.acked)
	}
	return ""
}
