package api

// BatchLine is an event of a batch.
type BatchLine = batchLine

// ParsePlain reads a line as most are, if it is one.
func ParsePlain(text []byte) (*BatchLine, bool) {
	l := &batchLine{}
	return l, l.parse(text)
}

// DecodeLine reads any.
var DecodeLine = decodeLine
