package sse

import (
	"bytes"
	"io"

	"github.com/sse-go/sse/internal/wire"
)

const (
	minBuffer       = 4 << 10   // bytes; the buffer of a stream with small events
	maxEmptyReads   = 100       // consecutive reads without a byte or an error
	shrinkThreshold = 64        // the value of underused at which a large buffer shrinks
	fieldNameRoom   = 64        // bytes; more than a field's name, colon, space and line end
	noOffset        = int64(-1) // stands for an unknown offset
)

// lineReader splits a stream into lines that end in CR, LF or CRLF, and removes
// one leading byte order mark.
//
//	buf   ┌─────────┬──────────────┬────────┬────────┐
//	      │  used   │ first line … │   …    │  free  │
//	      0        pos          lf or cr   end    len(buf)
//
// Invariants: 0 ≤ pos ≤ end ≤ len(buf). If lf ≥ pos, lf is the index of the first
// LF in buf[pos:end], or end if there is none. The same holds for cr and the first
// CR, and for nonASCII and the first byte that is not ASCII. So no byte is searched
// twice, however small the reads are. If the stream contains no CR, for example,
// one search for CR serves all lines in the buffer.
type lineReader struct {
	r   io.Reader
	err error // of r, NewDecoder or fill; fill returns it when all lines have been used

	buf      []byte
	pos, end int
	lf, cr   int
	nonASCII int
	lineEnd  int // index after the last byte of the line returned last

	bytesRead    int64 // bytes read from r
	bomChecked   bool  // a leading byte order mark has been removed, or there was none
	afterCR      bool  // an LF at pos belongs to the preceding line end
	discarding   bool  // the line at pos was discarded in part; its rest must be, too
	bufferFilled bool  // the last read filled the buffer
	underused    int   // how often in a row a large buffer was nearly empty
}

// offset returns the offset in the stream of the byte at buf[i].
func (l *lineReader) offset(i int) int64 { return l.bytesRead - int64(l.end-i) }

// partialLine returns the beginning of a line whose end has not been read.
func (l *lineReader) partialLine() []byte { return l.buf[l.pos:l.end] }

// next returns the next complete line without its line end. It returns false if the
// buffer has no complete line, so that the caller must call fill. The line is valid
// until the next call of fill or makeRoom.
func (l *lineReader) next() ([]byte, bool) {
	for {
		if !l.bomChecked && !l.stripBOM() || l.pos == l.end {
			return nil, false
		}
		if l.afterCR {
			l.afterCR = false
			if l.buf[l.pos] == '\n' {
				l.pos++
				continue
			}
		}
		if l.lf < l.pos {
			l.lf = l.find('\n', l.pos)
		}
		if l.cr < l.pos {
			l.cr = l.find('\r', l.pos)
		}
		i := min(l.lf, l.cr)
		if i == l.end {
			if l.discarding {
				l.pos = l.end
			}
			return nil, false
		}
		line := l.buf[l.pos:i]
		l.lineEnd = i
		l.pos = i + 1
		// The line ends at the CR: waiting for an LF that may belong to it
		// would delay the event.
		l.afterCR = i == l.cr
		if !l.discarding {
			return line, true
		}
		l.discarding = false
	}
}

// find returns the index of the first c in buf[from:end], or end.
func (l *lineReader) find(c byte, from int) int {
	if l.buf[from] == c {
		return from // in most streams, every second line is blank
	}
	if i := bytes.IndexByte(l.buf[from:l.end], c); i >= 0 {
		return from + i
	}
	return l.end
}

// isASCII reports whether the line that was returned last is ASCII from the
// index start onward.
func (l *lineReader) isASCII(start int) bool {
	if l.nonASCII < start {
		l.nonASCII = start + wire.IndexNonASCII(l.buf[start:l.end])
	}
	return l.nonASCII >= l.lineEnd
}

// stripBOM removes a leading byte order mark. It returns false if more bytes must
// be read to decide whether there is one.
//
// HTML 9.2.6: "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order
// Mark (BOM), if any."
func (l *lineReader) stripBOM() bool {
	n := min(len(wire.BOM), l.end-l.pos)
	if string(l.partialLine()[:n]) == wire.BOM[:n] {
		if n < len(wire.BOM) && l.err == nil {
			return false
		}
		if n == len(wire.BOM) {
			l.pos += n
		}
	}
	l.bomChecked = true
	return true
}

// discardLine discards the line at pos, whose end has not been read.
func (l *lineReader) discardLine() {
	l.pos = l.end
	l.discarding = true
}

// isFull reports whether the buffer has no free space.
func (l *lineReader) isFull() bool { return l.end == len(l.buf) }

// makeRoom makes free space in the buffer, or replaces the buffer. It preserves
// buf[from:to], which lies before pos, and the partial line at pos: it moves them,
// in this order, to the start of the buffer. The buffer grows up to maxRetainedBuffer,
// or up to the sum of limit, a field name and room for a read if that sum is larger. It
// grows further only if the preserved bytes need more.
//
// It must only be called after next has returned false.
func (l *lineReader) makeRoom(from, to, limit int) {
	retained := to - from
	needed := retained + l.end - l.pos
	size := l.chooseSize(needed, max(limit+fieldNameRoom+minBuffer, maxRetainedBuffer))
	buf := l.buf
	if size != len(buf) {
		buf = make([]byte, size)
	}
	// Bytes that are already in place are not moved. So each byte is moved a
	// bounded number of times even if little space is free.
	if size != len(l.buf) || from != 0 {
		copy(buf, l.buf[from:to])
	}
	copy(buf[retained:], l.buf[l.pos:l.end])
	l.nonASCII += retained - l.pos
	l.buf, l.pos, l.end = buf, retained, needed
	l.lf, l.cr = needed, needed
}

// chooseSize returns the size that the buffer should have. needed is the number of
// bytes that the buffer must preserve. limit is the size at which the buffer stops
// growing, unless needed is greater.
func (l *lineReader) chooseSize(needed, limit int) int {
	size := len(l.buf)
	switch {
	case size == 0:
		return minBuffer
	case needed+minBuffer > size:
		return max(min(2*size, limit), needed+minBuffer, size+size/4)
	case needed > size/2 && size < limit, l.bufferFilled && size < maxRetainedBuffer:
		return min(2*size, limit)
	case l.shouldShrink(needed):
		return maxRetainedBuffer
	}
	return size
}

// shouldCompact reports whether the caller should call makeRoom although the buffer
// is not full, so that makeRoom can replace a large buffer by a smaller one. retained
// is the number of bytes before pos that must be preserved. Without shouldCompact, a
// stream whose reads end within events would retain the large buffer of one huge event
// until that buffer is full.
func (l *lineReader) shouldCompact(retained int) bool {
	if len(l.buf) <= maxRetainedBuffer {
		return false
	}
	if retained+l.end-l.pos > maxRetainedBuffer/2 {
		l.underused = 0
		return false
	}
	return l.pos-retained > maxRetainedBuffer
}

// shouldShrink reports whether a large buffer (more than maxRetainedBuffer) has been
// nearly empty (at most half of maxRetainedBuffer is needed) at shrinkThreshold calls
// in a row.
func (l *lineReader) shouldShrink(needed int) bool {
	if len(l.buf) <= maxRetainedBuffer {
		return false
	}
	if needed > maxRetainedBuffer/2 {
		l.underused = 0
		return false
	}
	if l.underused++; l.underused < shrinkThreshold {
		return false
	}
	l.underused = 0
	return true
}

// fill reads into the free space until the reader returns at least one byte or an
// error. It returns the reader's error only at the next call, when all bytes that
// came before the error have been used. After maxEmptyReads reads without a byte or
// an error, it returns io.ErrNoProgress.
func (l *lineReader) fill() error {
	for range maxEmptyReads {
		if l.err != nil {
			return l.err
		}
		n, err := l.r.Read(l.buf[l.end:])
		if n < 0 || n > len(l.buf)-l.end {
			panic("sse: the reader returned a count that is negative or larger than its buffer")
		}
		l.err = err
		if n == 0 && err == nil {
			continue
		}
		before := l.end
		l.end += n
		l.bytesRead += int64(n)
		l.bufferFilled = l.end == len(l.buf)
		if n > maxRetainedBuffer/2 {
			l.underused = 0
		}
		if l.lf == before {
			l.lf = l.find('\n', before)
		}
		if l.cr == before {
			l.cr = l.find('\r', before)
		}
		if l.nonASCII == before {
			l.nonASCII = before + wire.IndexNonASCII(l.buf[before:l.end])
		}
		return nil
	}
	l.err = io.ErrNoProgress
	return l.err
}
