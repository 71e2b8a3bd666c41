package api

import (
	"bytes"
	"io"
	"net/http"
)

// lineSplitter splits a body into lines as the body arrives.
//
//	buf   │ returned lines │ begin of the next line │ free │
//	                       start                    n
//
// Invariants: 0 ≤ start ≤ n ≤ len(buf).
type lineSplitter struct {
	r     io.Reader
	limit int // of the length of a line, in bytes
	buf   []byte
	start int
	n     int
}

// next returns the lines that have arrived, without their LF. It blocks until
// there is at least one line, or an error. The lines are valid until the next
// call of next. If the body ends without an LF, the last line is returned
// together with io.EOF.
func (s *lineSplitter) next() ([][]byte, error) {
	const minFree = 32 << 10
	s.n = copy(s.buf, s.buf[s.start:s.n])
	s.start = 0
	for {
		if len(s.buf)-s.n < minFree {
			s.buf = append(s.buf[:s.n], make([]byte, max(2*minFree, s.n))...)
		}
		n, err := s.r.Read(s.buf[s.n:])
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

// lineReadError returns the error for a body that could not be read to its end,
// or io.EOF.
func lineReadError(err error) error {
	if err == io.EOF {
		return err
	}
	return problemf(http.StatusBadRequest,
		"the body is incomplete or malformed; its last, incomplete line was not published")
}
