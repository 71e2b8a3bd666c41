package faultfs

import "bytes"

const sector = 512 // bytes that a disk writes at once

// image is the content of a file. Bytes of data after size are on the disk, but the
// file does not contain them yet. Bytes between the end of data and size are zeros.
type image struct {
	data []byte
	size int64
}

// write is a change of a file: it writes data at offset or, if truncate is set, makes
// offset the size.
type write struct {
	offset   int64
	data     []byte
	truncate bool
}

func (m *image) apply(w write, l luck) {
	if w.truncate {
		m.truncate(w.offset, l)
		return
	}
	end := w.offset + int64(len(w.data))
	for offset, rest := w.offset, w.data; len(rest) > 0; {
		n := l.part(offset, len(rest))
		if l.persists() {
			m.put(offset, rest[:n])
		}
		offset, rest = offset+int64(n), rest[n:]
	}
	if end > m.size {
		m.size = l.between(m.size, end)
	}
}

func (m *image) truncate(to int64, l luck) {
	m.size = l.between(m.size, to)
	m.data = m.data[:min(int64(len(m.data)), m.size)]
}

func (m *image) put(offset int64, p []byte) {
	if missing := offset + int64(len(p)) - int64(len(m.data)); missing > 0 {
		m.data = append(m.data, make([]byte, missing)...)
	}
	copy(m.data[offset:], p)
}

// content returns a copy of the bytes that the file contains.
func (m *image) content() []byte {
	content := make([]byte, m.size)
	copy(content, m.data)
	return content
}

func (m *image) clone() image { return image{data: bytes.Clone(m.data), size: m.size} }

// readAt reads up to len(p) bytes and returns their number.
func (m *image) readAt(p []byte, offset int64) int {
	if offset >= m.size {
		return 0
	}
	p = p[:min(int64(len(p)), m.size-offset)]
	n := 0
	if offset < int64(len(m.data)) {
		n = copy(p, m.data[offset:])
	}
	clear(p[n:])
	return len(p)
}
