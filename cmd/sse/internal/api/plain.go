package api

import "bytes"

// parse reads a line as most are: an object with the names as they are spelled, each
// once, and strings without escapes. That takes a fifth of what package json does. It
// reports whether the line is one; what it makes of others means nothing.
func (l *batchLine) parse(text []byte) bool {
	in := plain{text}
	if !in.skip('{') {
		return false
	}
	for {
		name, ok := in.text()
		if !ok || !in.skip(':') || !l.parseField(&in, name) {
			return false
		}
		if !in.skip(',') {
			return in.skip('}') && in.atEnd()
		}
	}
}

func (l *batchLine) parseField(in *plain, name []byte) bool {
	if string(name) == "topics" {
		return l.Topics == nil && l.parseTopics(in)
	}
	value, ok := in.text()
	switch {
	case !ok:
		return false
	case string(name) == "data" && !l.Data.given:
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

func (l *batchLine) parseTopics(in *plain) bool {
	if !in.skip('[') {
		return false
	}
	for {
		topic, ok := in.text()
		if !ok {
			return false
		}
		l.Topics = append(l.Topics, string(topic))
		if !in.skip(',') {
			return in.skip(']')
		}
	}
}

// plain is what is left of a line.
type plain struct{ rest []byte }

func (p *plain) skipSpace() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\t') {
		p.rest = p.rest[1:]
	}
}

// skip reads one character, if it is next.
func (p *plain) skip(c byte) bool {
	p.skipSpace()
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// text reads a string that has no escapes.
func (p *plain) text() ([]byte, bool) {
	if !p.skip('"') {
		return nil, false
	}
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		return nil, false
	}
	text := p.rest[:end]
	for _, c := range text {
		if c == '\\' || c < ' ' {
			return nil, false
		}
	}
	p.rest = p.rest[end+1:]
	return text, true
}

func (p *plain) atEnd() bool {
	p.skipSpace()
	return len(p.rest) == 0
}
