package api

import (
	"bytes"
	"io"
	"net/http"
)

const (
	// minLineBuffer is the size of the buffer while few bytes arrive. It is small,
	// because a request may wait for its next line for hours.
	minLineBuffer = 4 << 10

	// maxLineRead is the largest number of bytes of one read. It also limits the
	// number of lines that next returns, because each line has at least its LF.
	maxLineRead = 64 << 10
)

// lineSplitter splits a body into lines as the body arrives.
//
//	buf   │ returned lines │ start of the next line │ free │
//	                       start                    n
//
// The splitter does not know the end of the next line yet.
//
// Invariants: 0 ≤ start ≤ n ≤ len(buf).
type lineSplitter struct {
	r      io.Reader
	limit  int                  // bytes of an incomplete line, above which next fails
	resize func(size int) error // reserves memory for the buffer
	buf    []byte
	start  int
	n      int
	last   int // number of bytes of the last read
}

// next returns the lines that have arrived, without their LF. It blocks until there
// is at least one line, or an error. It may return lines and an error. The lines are
// valid until the next call of next. At the end of the body, the error is io.EOF,
// and the last line needs no LF.
func (s *lineSplitter) next() ([][]byte, error) {
	s.n = copy(s.buf, s.buf[s.start:s.n])
	s.start = 0
	for {
		if err := s.fit(); err != nil {
			return nil, err
		}
		n, err := s.r.Read(s.buf[s.n:min(len(s.buf), s.n+maxLineRead)])
		s.last = n
		fresh := s.buf[s.n : s.n+n]
		s.n += n
		if end := bytes.LastIndexByte(fresh, '\n'); end >= 0 {
			s.start = s.n - n + end + 1
		}
		var lines [][]byte
		for line := range bytes.Lines(s.buf[:s.start]) {
			lines = append(lines, line[:len(line)-1])
		}
		switch {
		case err == io.EOF && s.start < s.n:
			return append(lines, s.buf[s.start:s.n]), err
		case err != nil:
			return lines, lineReadError(err)
		case s.n-s.start > s.limit:
			return lines, eventTooLarge(s.limit)
		case len(lines) > 0:
			return lines, nil
		}
	}
}

// fit doubles the buffer if more than half of it is in use. It also doubles a buffer
// smaller than maxLineRead if the last read has filled half of it. If few bytes are in
// use and the last read was short, fit reduces the buffer to minLineBuffer. It fails if
// there is no memory for the larger buffer.
func (s *lineSplitter) fit() error {
	size := max(minLineBuffer, len(s.buf))
	switch {
	case s.n > size/2 || s.last >= size/2 && size < maxLineRead:
		size *= 2
	case s.n < minLineBuffer/2 && s.last < minLineBuffer/2:
		size = minLineBuffer
	}
	if size == len(s.buf) {
		return nil
	}
	if err := s.resize(size); err != nil {
		return err
	}
	s.buf = append(make([]byte, 0, size), s.buf[:s.n]...)[:size]
	return nil
}

// lineReadError returns the error of the request for the error of a read. It does not
// change io.EOF.
func lineReadError(err error) error {
	if err == io.EOF {
		return err
	}
	return problemf(http.StatusBadRequest,
		"the body is incomplete or malformed; its last, incomplete line was not published")
}
