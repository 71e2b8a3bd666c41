package api

// BatchLine is one event of a batch.
type BatchLine = batchLine

// ParseSimple parses a line in the most common form, and reports whether the
// line has this form.
func ParseSimple(content []byte) (*BatchLine, bool) {
	l := &batchLine{}
	ok := l.parseSimple(content)
	return l, ok
}

// HasLoneSurrogate reports whether JSON has half of a surrogate pair.
var HasLoneSurrogate = hasLoneSurrogate

// IsSimpleTopic reports whether a topic needs no further check.
var IsSimpleTopic = isSimpleTopic

// LastHost returns the host that the API remembers, or nothing.
func (a *API) LastHost() string {
	if host := a.lastHost.Load(); host != nil {
		return *host
	}
	return ""
}

// CountReported returns how many refused names and origins are remembered.
func (a *API) CountReported() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.reported)
}

// DecodeLine parses a line in any form.
var DecodeLine = decodeLine
