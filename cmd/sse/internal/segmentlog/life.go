package segmentlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// A log whose end was lost must not use its numbers again in the same epoch. Two files
// show that the end was lost:
//
// The epoch file has the epoch, and the time at which the file itself was created, as
// the file system reports it. The file is never written again. A copy, for example a
// restored backup, was created later. If the file system does not report the time, or
// if a whole disk is copied, this shows nothing. Then [sse.Position.Check] shows the loss
// to each client whose position has an entry in the log.
//
// The mark file has the newest number that was acknowledged. It is written after each
// sync, but not synced itself. So it never has a number that was not stored, and after
// the process was killed it is exact. If the log ends before the mark, something was
// lost: a part of it was restored, or its newest files were damaged or removed.
const (
	lifeName = "epoch"
	markName = "mark"
)

// life is the content of the epoch file.
type life struct {
	epoch uint64
	born  int64 // nanoseconds; zero if unknown
}

const lifeForm = "sse log, epoch %016x, born %d\n"

// readLife returns the zero life if the file is missing or damaged.
func (l *Log) readLife() (life, error) {
	p, err := l.files.read(lifeName)
	if err != nil && !isMissing(err) {
		return life{}, err
	}
	var was life
	if _, err := fmt.Sscanf(string(p), lifeForm, &was.epoch, &was.born); err != nil {
		return life{}, nil
	}
	return was, nil
}

// isCopy reports whether the epoch file was created after it was written.
func (l *Log) isCopy(was life) bool {
	born := l.files.fs.Born(l.files.path(lifeName))
	return was.born != 0 && born != 0 && was.born != born
}

// drawEpoch draws an epoch and writes the epoch file.
func (l *Log) drawEpoch() error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never returns an error
	epoch := binary.BigEndian.Uint64(random[:]) | 1
	draft := l.files.path(lifeName + ".new")
	file, err := l.files.fs.Create(draft)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(fmt.Appendf(nil, lifeForm, epoch, l.files.fs.Born(draft)), 0)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := l.files.fs.Rename(draft, l.files.path(lifeName)); err != nil {
		return err
	}
	l.epoch = epoch
	return l.files.fs.SyncDir(l.dir)
}

// mark is the open mark file.
type mark struct {
	file vfs.File
	was  marked
}

// marked is the content of the mark file.
type marked struct {
	epoch  uint64
	acked  uint64
	closed bool // the log was closed
}

const markSize = 8 + 8 + 1 + 4

func openMark(fsys vfs.FS, path string) (*mark, error) {
	file, err := fsys.OpenReadWrite(path)
	if err != nil {
		return nil, err
	}
	m := &mark{file: file}
	var p [markSize]byte
	err = readFull(file, p[:], 0)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.Join(err, file.Close())
	}
	if err == nil && checksum(p[:17]) == binary.LittleEndian.Uint32(p[17:]) {
		m.was = marked{
			epoch: binary.LittleEndian.Uint64(p[:]), acked: binary.LittleEndian.Uint64(p[8:]),
			closed: p[16] != 0,
		}
	}
	return m, nil
}

// set writes the mark, but does not sync it. An error does no harm: an old mark shows
// less.
func (m *mark) set(now marked) {
	var p [markSize]byte
	binary.LittleEndian.PutUint64(p[:], now.epoch)
	binary.LittleEndian.PutUint64(p[8:], now.acked)
	if now.closed {
		p[16] = 1
	}
	binary.LittleEndian.PutUint32(p[17:], checksum(p[:17]))
	_, _ = m.file.WriteAt(p[:], 0)
}

func (m *mark) close() error { return errors.Join(m.file.Sync(), m.file.Close()) }
