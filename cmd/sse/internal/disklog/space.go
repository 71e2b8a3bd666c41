package disklog

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// space is a file system whose writes do not fail when the disk is full. The store
// cannot go on after a write of its own has failed: it would have to be opened
// again, which needs space. So there is a reserve, a file of nothing: the first
// write that finds the disk full deletes it, goes on, and from then on nothing
// is appended. What the store still has to write (what was appended before, and
// what removes entries) has the space of the reserve; if that is used up too,
// it waits.
//
//	        a write finds no space: the reserve is deleted
//	ready ────────────────────────────────────────────────► full
//	      ◄────────────────────────────────────────────────
//	        an append is tried, and there is space for the reserve again
type space struct {
	vfs.FS
	reserve string // the file's name
	size    int64  // of the reserve; negative: there is none
	logger  *slog.Logger

	closing chan struct{} // closed when writes must not wait any more
	filled  signal        // the disk has become full

	mu    sync.Mutex // guards the following
	full  bool
	tried time.Time // when it was last tried to have the reserve again
}

// minReserve is how much space there must be to go on without a reserve.
const minReserve = 1 << 20

// makeSpace is what to do about a full disk.
const makeSpace = "remove files, or DELETE topics; the hub goes on by itself"

func isFull(err error) bool {
	return err != nil && (vfs.IsNoSpaceError(err) || errors.Is(err, syscall.ENOSPC) || isQuota(err))
}

// admit says whether there is space to append bytes, and is what finds out that
// there is space again.
func (s *space) admit(dir string, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full && !s.refillLocked() {
		return noSpace(dir)
	}
	if bytes > s.size/2 {
		// More than the reserve makes up for: look first. The entries are written
		// to the write-ahead log, and then to a table.
		usage, err := s.FS.GetDiskUsage(dir)
		if err == nil && usage.AvailBytes < 2*uint64(bytes) {
			return noSpace(dir)
		}
	}
	return nil
}

// CheckSpace returns an error that wraps [syscall.ENOSPC] if the disk is too full
// to append entries. It also notices that the disk has space again.
func (l *Log) CheckSpace() error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.exit()
	return l.space.admit(l.dir, 0)
}

// open makes the reserve. A disk that has no space for it is full.
func (s *space) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := s.FS.Stat(s.reserve)
	if s.size < 0 {
		if err == nil {
			return s.FS.Remove(s.reserve)
		}
		return nil
	}
	if err == nil && info.Size() == s.size {
		return nil
	}
	err = s.fillLocked()
	if isFull(err) {
		// To open the store takes some space, without which it would wait.
		usage, err := s.FS.GetDiskUsage(filepath.Dir(s.reserve))
		if err == nil && usage.AvailBytes < minReserve {
			return noSpace(filepath.Dir(s.reserve))
		}
		s.full = true
		s.logger.Warn("sse: the disk is full: nothing can be published until it has space",
			"dir", filepath.Dir(s.reserve), "hint", makeSpace)
		return nil
	}
	return err
}

// refillLocked is called by every append while the disk is full, and so looks
// before it writes, and does not always look.
func (s *space) refillLocked() bool {
	const pause = 50 * time.Millisecond
	if time.Since(s.tried) < pause {
		return false
	}
	s.tried = time.Now()
	// More than the reserve, or the next few entries would use it up again.
	usage, err := s.FS.GetDiskUsage(filepath.Dir(s.reserve))
	if err == nil && usage.AvailBytes < uint64(max(s.size, minReserve)/4*5) {
		return false
	}
	if s.size >= 0 && s.fillLocked() != nil {
		return false
	}
	s.full = false
	s.logger.Info("sse: the disk has space again")
	return true
}

// fillLocked writes the reserve, of bytes that no file system can make smaller.
func (s *space) fillLocked() (err error) {
	f, err := s.FS.Create(s.reserve, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, s.FS.Remove(s.reserve))
		}
	}()
	noise := rand.NewChaCha8([32]byte{})
	block := make([]byte, 64<<10)
	for left := s.size; left > 0; left -= int64(len(block)) {
		block = block[:min(left, int64(len(block)))]
		_, _ = noise.Read(block) // never fails
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Sync()
}

// retry does op until the disk has space for it.
func (s *space) retry(op func() error) error {
	const soonest, latest = time.Millisecond, 250 * time.Millisecond
	for wait := soonest; ; wait = min(2*wait, latest) {
		err := op()
		if !isFull(err) {
			return err
		}
		if s.release() {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.closing:
			timer.Stop()
			return err
		}
	}
}

// release deletes the reserve, and reports whether there was one.
func (s *space) release() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full {
		s.full = true
		s.logger.Warn("sse: the disk is full: nothing can be published until it has space",
			"dir", filepath.Dir(s.reserve), "hint", makeSpace)
		s.filled.broadcast()
	}
	return s.size >= 0 && s.FS.Remove(s.reserve) == nil
}

// retryFile does an operation that returns a file.
func (s *space) retryFile(op func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := s.retry(func() (err error) { f, err = op(); return err })
	if err != nil {
		return nil, err
	}
	return &spaceFile{File: f, space: s}, nil
}

// Create implements [vfs.FS].
func (s *space) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return s.retryFile(func() (vfs.File, error) { return s.FS.Create(name, category) })
}

// OpenReadWrite implements [vfs.FS].
func (s *space) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	return s.retryFile(func() (vfs.File, error) {
		return s.FS.OpenReadWrite(name, category, opts...)
	})
}

// ReuseForWrite implements [vfs.FS].
func (s *space) ReuseForWrite(
	oldname, newname string, category vfs.DiskWriteCategory,
) (vfs.File, error) {
	return s.retryFile(func() (vfs.File, error) {
		return s.FS.ReuseForWrite(oldname, newname, category)
	})
}

// Link implements [vfs.FS].
func (s *space) Link(oldname, newname string) error {
	return s.retry(func() error { return s.FS.Link(oldname, newname) })
}

// Rename implements [vfs.FS].
func (s *space) Rename(oldname, newname string) error {
	return s.retry(func() error { return s.FS.Rename(oldname, newname) })
}

// MkdirAll implements [vfs.FS].
func (s *space) MkdirAll(dir string, perm os.FileMode) error {
	return s.retry(func() error { return s.FS.MkdirAll(dir, perm) })
}

// Unwrap implements [vfs.FS].
func (s *space) Unwrap() vfs.FS { return s.FS }

// spaceFile is a file of a space. A sync that fails is not tried again: what it
// should have written may be gone from the system's memory.
type spaceFile struct {
	vfs.File
	space *space
}

// Write implements [io.Writer].
func (f *spaceFile) Write(p []byte) (int, error) {
	done := 0
	err := f.space.retry(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		if err == nil && done < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return done, err
}

// Preallocate implements [vfs.File]. Not to do it is allowed.
func (f *spaceFile) Preallocate(offset, length int64) error {
	if err := f.File.Preallocate(offset, length); !isFull(err) {
		return err
	}
	return nil
}
