package api

import (
	"bytes"
	"io"
	"net/http"
)

const (
	// minLineBuffer is the size of the buffer while few lines arrive: a request may
	// wait for the next line for hours.
	minLineBuffer = 4 << 10

	// maxLineRead bounds the bytes of one read, and so the number of lines that
	// next returns.
	maxLineRead = 64 << 10
)

// lineSplitter splits a body into lines as the body arrives.
//
//	buf   │ returned lines │ begin of the next line │ free │
//	                       start                    n
//
// Invariants: 0 ≤ start ≤ n ≤ len(buf).
type lineSplitter struct {
	r      io.Reader
	limit  int                  // of the length of a line, in bytes
	resize func(size int) error // reserves memory for the buffer
	buf    []byte
	start  int
	n      int
	last   int // bytes of the last read
}

// next returns the lines that have arrived, without their LF. It blocks until
// there is at least one line, or an error. The lines are valid until the next
// call of next. If the body ends without an LF, the last line is returned
// together with io.EOF.
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

// fit changes the size of the buffer, so that half of it is free and the next
// read has as much room as the last one needed.
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

// lineReadError returns the error for a body that could not be read to its end,
// or io.EOF.
func lineReadError(err error) error {
	if err == io.EOF {
		return err
	}
	return problemf(http.StatusBadRequest,
		"the body is incomplete or malformed; its last, incomplete line was not published")
}
