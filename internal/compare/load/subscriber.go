package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sse-go/sse/internal/compare/control"
)

// phase is the state of the parser of a response. A body without chunks is plain
// until its end. In a chunked body, the phases size, chunk and chunkEnd repeat.
//
//	header ─→ plain
//	       └→ size ─→ chunk ─→ chunkEnd ─┐
//	          ↑                          │
//	          └──────────────────────────┘
type phase uint8

const (
	inHeader phase = iota
	inPlain
	inSize
	inChunk
	inChunkEnd
)

// subscriber is a connection and the parser of its response. The response may arrive
// in pieces of any size. The parser stores only an incomplete line or header. A block
// is a sequence of lines up to an empty line.
type subscriber struct {
	fd      int
	phase   phase
	hasBody bool // a byte of the body has arrived
	ready   bool // the response has begun
	hidden  bool // the type of the block begins with "sse."
	found   bool // the block contains an event, which is in the field event
	event   control.Event
	left    int    // remaining bytes of the chunk, or the parsed part of its size
	rest    []byte // incomplete line or header
	checker checker
}

const maxLine = 1 << 20

// errEnded is the error when the server has ended the stream properly, with the last
// chunk.
var errEnded = errors.New("the server ended the stream")

// feed parses the next bytes and calls deliver for each event that they
// complete.
func (s *subscriber) feed(p []byte, deliver func(*subscriber)) error {
	for len(p) > 0 {
		switch s.phase {
		case inHeader:
			rest, err := s.header(p)
			if err != nil {
				return err
			}
			p = rest
		case inPlain:
			return s.lines(p, deliver)
		case inSize:
			rest, err := s.size(p)
			if err != nil {
				return err
			}
			p = rest
		case inChunk:
			n := min(s.left, len(p))
			if err := s.lines(p[:n], deliver); err != nil {
				return err
			}
			if s.left -= n; s.left == 0 {
				s.phase = inChunkEnd
			}
			p = p[n:]
		case inChunkEnd:
			if p[0] == '\n' {
				s.phase = inSize
			} else if p[0] != '\r' {
				return fmt.Errorf("%q follows the end of a chunk", p[0])
			}
			p = p[1:]
		}
	}
	return nil
}

var headerEnd = []byte("\r\n\r\n")

// header collects the header, and checks it when it is complete. It returns the bytes
// after the header.
func (s *subscriber) header(p []byte) (rest []byte, err error) {
	before := len(s.rest)
	s.rest = append(s.rest, p...)
	end := bytes.Index(s.rest, headerEnd)
	if end < 0 {
		if len(s.rest) > maxLine {
			return nil, errors.New("the header is too long")
		}
		return nil, nil
	}
	header := bytes.ToLower(s.rest[:end])
	s.rest = nil
	if !bytes.HasPrefix(header, []byte("http/1.1 200 ")) {
		line, _, _ := bytes.Cut(header, headerEnd[:2])
		return nil, fmt.Errorf("the server responded %q, want 200", line)
	}
	s.phase = inPlain
	if bytes.Contains(header, []byte("\r\ntransfer-encoding: chunked")) {
		s.phase = inSize
	}
	return p[end+len(headerEnd)-before:], nil
}

// size parses the size of a chunk and returns the bytes after its line.
func (s *subscriber) size(p []byte) (rest []byte, err error) {
	for i, c := range p {
		switch {
		case c >= '0' && c <= '9':
			s.left = s.left<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			s.left = s.left<<4 | int(c|0x20-'a'+10)
		case c == '\r':
		case c == '\n':
			if s.left == 0 {
				return nil, errEnded
			}
			s.phase = inChunk
			return p[i+1:], nil
		default:
			return nil, fmt.Errorf("the size of a chunk must be hexadecimal, but has %q", c)
		}
	}
	return nil, nil
}

// lines parses a piece of the event stream. Lines end with LF or CRLF. A single
// CR is not a line end, because none of the servers sends one.
func (s *subscriber) lines(p []byte, deliver func(*subscriber)) error {
	s.hasBody = true
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		line := p[:end]
		if len(s.rest) > 0 {
			s.rest = append(s.rest, line...)
			line = s.rest
		}
		s.line(line, deliver)
		s.rest = s.rest[:0]
		p = p[end+1:]
	}
	if s.rest = append(s.rest, p...); len(s.rest) > maxLine {
		return errors.New("a line is too long")
	}
	return nil
}

var (
	dataField  = []byte("data:")
	eventField = []byte("event:")
	ownType    = []byte("sse.")
)

// line handles one line of a block. It delivers the event only at the end of the
// block, because the type may follow the data. It ignores events whose type begins
// with "sse.", for example cursors.
func (s *subscriber) line(line []byte, deliver func(*subscriber)) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	switch {
	case len(line) == 0:
		if s.found && !s.hidden {
			deliver(s)
		}
		s.found, s.hidden = false, false
	case bytes.HasPrefix(line, dataField):
		if e, ok := control.ParseEvent(line[len(dataField):]); ok {
			s.event, s.found = e, true
		}
	case bytes.HasPrefix(line, eventField):
		typ := bytes.TrimPrefix(line[len(eventField):], []byte(" "))
		s.hidden = bytes.HasPrefix(typ, ownType)
	}
}
