package api

import "bytes"

// parseSimple parses a line in the most common form: an object that has only the
// fields topics, id, type and data, each at most once, and only strings without
// escapes. It takes a fifth of the time of package json. It reports whether the line
// has this form. If not, the fields of l have no meaning, and the caller must use
// decodeLine.
func (l *batchLine) parseSimple(content []byte) bool {
	in := simpleScanner{content}
	if !in.skip('{') {
		return false
	}
	for {
		name, ok := in.scanString()
		if !ok || !in.skip(':') || !l.parseField(&in, name) {
			return false
		}
		if !in.skip(',') {
			return in.skip('}') && in.atEnd()
		}
	}
}

func (l *batchLine) parseField(in *simpleScanner, name []byte) bool {
	if string(name) == "topics" {
		return l.Topics == nil && l.parseTopics(in)
	}
	value, ok := in.scanString()
	switch {
	case !ok:
		return false
	case string(name) == "data" && !l.Data.present:
		l.Data = lineData{string(value), true}
	case string(name) == "id" && l.ID == "":
		l.ID = string(value)
	case string(name) == "type" && l.Type == "":
		l.Type = string(value)
	default:
		return false
	}
	return true
}

func (l *batchLine) parseTopics(in *simpleScanner) bool {
	if !in.skip('[') {
		return false
	}
	for {
		topic, ok := in.scanString()
		if !ok {
			return false
		}
		l.Topics = append(l.Topics, string(topic))
		if !in.skip(',') {
			return in.skip(']')
		}
	}
}

// simpleScanner scans JSON for parseSimple. rest is the part that is not scanned yet.
type simpleScanner struct{ rest []byte }

func (s *simpleScanner) skipSpace() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

// skip skips spaces and then the character c. It returns false if the next character is
// not c.
func (s *simpleScanner) skip(c byte) bool {
	s.skipSpace()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// scanString returns the content of a string. It returns false if there is no string,
// or if the string has an escape or a control character.
func (s *simpleScanner) scanString() ([]byte, bool) {
	if !s.skip('"') {
		return nil, false
	}
	end := bytes.IndexByte(s.rest, '"')
	if end < 0 {
		return nil, false
	}
	content := s.rest[:end]
	for _, c := range content {
		if c == '\\' || c < ' ' {
			return nil, false
		}
	}
	s.rest = s.rest[end+1:]
	return content, true
}

func (s *simpleScanner) atEnd() bool {
	s.skipSpace()
	return len(s.rest) == 0
}
