package sse

import (
	"bytes"
	"io"

	"github.com/sse-go/sse/internal/wire"
)

const (
	minBuffer    = 4 << 10   // what a quiet stream's reader holds
	maxEmptyRead = 100       // reads of no bytes and no error in a row
	shrinkAfter  = 64        // times a large buffer was hardly used
	roomForName  = 64        // a field's name, colon, space and line end, generously
	noLineYet    = int64(-1) // for an offset
)

// lineReader cuts a stream into lines that end in CR, LF or CRLF, and drops
// one leading BOM.
//
//	buf   ┌─────────┬──────────────┬────────┬────────┐
//	      │  taken  │ first line … │   …    │  room  │
//	      0        pos          lf or cr   end    len(buf)
//
// Invariants: 0 ≤ pos ≤ end ≤ len(buf). Where lf ≥ pos it is the index of the
// first LF in buf[pos:end], or end if there is none; likewise cr, and high for
// the first byte that is not ASCII. So no byte is searched twice, however small
// the reads are, and one search serves many lines.
type lineReader struct {
	r   io.Reader
	err error // of r; reported when all lines have been taken

	buf      []byte
	pos, end int
	lf, cr   int
	high     int
	lineEnd  int // index after the last byte of the line returned last

	read     int64 // bytes read from r
	started  bool  // a BOM has been looked for
	afterCR  bool  // an LF at pos belongs to the line end before it
	dropping bool  // the line at pos is not kept
	greedy   bool  // the last read filled the buffer
	small    int   // how often in a row a large buffer was hardly used
}

// offset is the place in the stream of the byte at buf[i].
func (l *lineReader) offset(i int) int64 { return l.read - int64(l.end-i) }

// rest is the beginning of a line whose end has not been read.
func (l *lineReader) rest() []byte { return l.buf[l.pos:l.end] }

// next returns the next complete line without its end, or false if more has to
// be read first. The line is valid until the next fill.
func (l *lineReader) next() ([]byte, bool) {
	for {
		if !l.started && !l.dropBOM() || l.pos == l.end {
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
			if l.dropping {
				l.pos = l.end
			}
			return nil, false
		}
		line := l.buf[l.pos:i]
		l.lineEnd = i
		l.pos = i + 1
		// The event is dispatched at the CR: waiting for an LF that may
		// belong to it would hold it back.
		l.afterCR = i == l.cr
		if !l.dropping {
			return line, true
		}
		l.dropping = false
	}
}

func (l *lineReader) find(c byte, from int) int {
	if l.buf[from] == c {
		return from // every other line of most streams is blank
	}
	if i := bytes.IndexByte(l.buf[from:l.end], c); i >= 0 {
		return from + i
	}
	return l.end
}

// isASCII reports whether the line returned last is ASCII. From start on it is
// that line.
func (l *lineReader) isASCII(start int) bool {
	if l.high < start {
		l.high = start + wire.IndexNonASCII(l.buf[start:l.end])
	}
	return l.high >= l.lineEnd
}

// dropBOM reports whether the stream's first bytes have been seen.
//
// HTML 9.2.6: "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order
// Mark (BOM), if any."
func (l *lineReader) dropBOM() bool {
	n := min(len(wire.BOM), l.end-l.pos)
	if string(l.rest()[:n]) == wire.BOM[:n] {
		if n < len(wire.BOM) && l.err == nil {
			return false
		}
		if n == len(wire.BOM) {
			l.pos += n
		}
	}
	l.started = true
	return true
}

// dropLine lets go of the line at pos, whose end has not been read.
func (l *lineReader) dropLine() {
	l.pos = l.end
	l.dropping = true
}

// full reports whether there is no room to read into.
func (l *lineReader) full() bool { return l.end == len(l.buf) }

// makeRoom makes room to read into. It keeps buf[from:to], which is before
// pos, as buf[0:to-from], and after it the line at pos. Unless what is kept
// needs more, the buffer stays within limit bytes and room for a read.
//
// It must follow a next that returned false.
func (l *lineReader) makeRoom(from, to, limit int) {
	kept := to - from
	live := kept + l.end - l.pos
	size := l.size(live, max(limit+roomForName+minBuffer, maxKeptBuffer))
	buf := l.buf
	if size != len(buf) {
		buf = make([]byte, size)
	}
	// What is in place already is not moved, so that each byte is moved a
	// bounded number of times even where there is little room.
	if size != len(l.buf) || from != 0 {
		copy(buf, l.buf[from:to])
	}
	copy(buf[kept:], l.buf[l.pos:l.end])
	l.high += kept - l.pos
	l.buf, l.pos, l.end = buf, kept, live
	l.lf, l.cr = live, live
}

// size is how large the buffer should be, given the bytes to be kept in it.
func (l *lineReader) size(live, limit int) int {
	size := len(l.buf)
	switch {
	case size == 0:
		return minBuffer
	case live+minBuffer > size:
		return max(min(2*size, limit), live+minBuffer, size+size/4)
	case live > size/2 && size < limit, l.greedy && size < maxKeptBuffer:
		return min(2*size, limit)
	case l.idle(live):
		return maxKeptBuffer
	}
	return size
}

// wasteful reports whether it is time to look if a large buffer is still
// needed, of which kept bytes before pos are. Without it, a stream whose reads
// end within events would keep the buffer of a huge one until it is full.
func (l *lineReader) wasteful(kept int) bool {
	if len(l.buf) <= maxKeptBuffer {
		return false
	}
	if kept+l.end-l.pos > maxKeptBuffer/2 {
		l.small = 0
		return false
	}
	return l.pos-kept > maxKeptBuffer
}

// idle reports whether the buffer has been far too large for long.
func (l *lineReader) idle(live int) bool {
	if len(l.buf) <= maxKeptBuffer {
		return false
	}
	if live > maxKeptBuffer/2 {
		l.small = 0
		return false
	}
	if l.small++; l.small < shrinkAfter {
		return false
	}
	l.small = 0
	return true
}

// fill reads once. It returns the reader's error when there is nothing left
// that came before it.
func (l *lineReader) fill() error {
	for range maxEmptyRead {
		if l.err != nil {
			return l.err
		}
		n, err := l.r.Read(l.buf[l.end:])
		if n < 0 || n > len(l.buf)-l.end {
			panic("sse: reader returned an impossible count")
		}
		l.err = err
		if n == 0 && err == nil {
			continue
		}
		before := l.end
		l.end += n
		l.read += int64(n)
		l.greedy = l.end == len(l.buf)
		if n > maxKeptBuffer/2 {
			l.small = 0
		}
		if l.lf == before {
			l.lf = l.find('\n', before)
		}
		if l.cr == before {
			l.cr = l.find('\r', before)
		}
		if l.high == before {
			l.high = before + wire.IndexNonASCII(l.buf[before:l.end])
		}
		return nil
	}
	l.err = io.ErrNoProgress
	return l.err
}
