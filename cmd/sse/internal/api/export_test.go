package api

// BatchLine is an event of a batch.
type BatchLine = batchLine

// ParsePlain reads a line as most are, if it is one.
func ParsePlain(text []byte) (*BatchLine, bool) {
	l := &batchLine{}
	is := l.parse(text)
	return l, is
}

// DecodeLine reads any.
var DecodeLine = decodeLine
