package segmentlog

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// space notices that the disk is full. A full disk refuses appends, and nothing else.
// Removing entries needs some space as well: the log must first store that they are
// removed. For that there is a reserve, a file without information. When the log must
// write and finds no space, it deletes the reserve.
//
//	        an append finds no space
//	ready ────────────────────────────────────────► full
//	      ◄────────────────────────────────────────
//	        there is space for the reserve, and more
type space struct {
	files  *files
	size   int64 // of the reserve; negative: there is none
	logger *slog.Logger

	mu    sync.Mutex // guards the following
	full  bool
	tried time.Time // when the disk was last checked
}

const (
	reserveName = "reserve"

	// minFree is the space, beside the reserve, that must be free before a full disk
	// is used again.
	minFree = 1 << 20
)

// makeSpace is the advice for a full disk.
const makeSpace = "remove files, or DELETE topics; the hub goes on by itself"

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || isQuota(err)
}

func (s *space) noSpace() error {
	return fmt.Errorf("sse: no space for events in %s: %w", s.files.dir, syscall.ENOSPC)
}

// open creates the reserve. If the disk is full, isFull returns true for the error.
func (s *space) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size < 0 {
		return s.files.remove(reserveName)
	}
	if s.hasReserve() {
		return nil
	}
	return s.fillLocked()
}

// hasReserve reports whether the reserve is there and complete.
func (s *space) hasReserve() bool {
	file, err := s.files.fs.Open(s.files.path(reserveName))
	if err != nil {
		return false
	}
	defer file.Close()
	size, err := file.Size()
	return err == nil && size == s.size
}

// admit returns an error if there is no space to append bytes.
func (s *space) admit(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full && !s.refillLocked() {
		return s.noSpace()
	}
	if bytes > s.size/2 {
		free, err := s.files.fs.Free(s.files.dir)
		if err == nil && free < uint64(bytes) {
			return s.noSpace()
		}
	}
	return nil
}

// isFull reports whether the disk is full.
func (s *space) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// setFull notes that a write found no space.
func (s *space) setFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setFullLocked()
}

func (s *space) setFullLocked() {
	if s.full {
		return
	}
	s.full = true
	s.logger.Warn("sse: the disk is full: nothing can be published until it has space",
		"dir", s.files.dir, "hint", makeSpace)
}

// retry calls write. If the disk is full, it deletes the reserve and calls write again.
func (s *space) retry(write func() error) error {
	err := write()
	if !isFull(err) {
		return err
	}
	s.mu.Lock()
	s.setFullLocked()
	removed := s.size >= 0 && s.files.fs.Remove(s.files.path(reserveName)) == nil
	s.mu.Unlock()
	if removed {
		err = write()
	}
	return err
}

// refillLocked tries to create the reserve again. Every append calls it while the disk
// is full, so it checks the disk only from time to time. s.mu is held.
func (s *space) refillLocked() bool {
	const pause = 50 * time.Millisecond
	if time.Since(s.tried) < pause {
		return false
	}
	s.tried = time.Now()
	reserve := uint64(max(s.size, 0))
	if s.size >= 0 && s.hasReserve() {
		reserve = 0
	}
	free, err := s.files.fs.Free(s.files.dir)
	if err == nil && free < reserve+minFree {
		return false
	}
	if reserve > 0 && s.fillLocked() != nil {
		return false
	}
	s.full = false
	s.logger.Info("sse: the disk has space again")
	return true
}

// fillLocked writes the reserve. Its bytes are random, so that no file system can store
// them in less space. s.mu is held.
func (s *space) fillLocked() (err error) {
	file, err := s.files.fs.Create(s.files.path(reserveName))
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, s.files.fs.Remove(s.files.path(reserveName)))
		}
	}()
	noise := rand.NewChaCha8([32]byte{})
	block := make([]byte, 64<<10)
	for off := int64(0); off < s.size; off += int64(len(block)) {
		block = block[:min(s.size-off, int64(len(block)))]
		_, _ = noise.Read(block) // never returns an error
		if _, err := file.WriteAt(block, off); err != nil {
			return err
		}
	}
	return file.Sync()
}
