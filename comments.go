package sse

const (
	// maxComments is how many comments are stored for subscribers that have not
	// received them yet.
	maxComments = 16

	// maxCommentSize limits the text of a comment, in bytes, because a stalled
	// stream stores one comment.
	maxCommentSize = 16 << 10
)

// comments are the newest comments of [Broker.Comment], by number modulo
// maxComments. state.mu guards them.
type comments struct {
	newest [maxComments]comment
	last   uint32 // number of the newest comment, from 1; it may wrap around
}

// comment is a comment in wire format.
type comment struct {
	wire  []byte
	after uint64 // sequence of the newest event when the comment was sent
}

// add adds a comment.
func (c *comments) add(wire []byte, after uint64) {
	c.last++
	c.newest[c.last%maxComments] = comment{wire, after}
}

// next returns the oldest stored comment after a number, and its number. It returns
// nil if there is none.
func (c *comments) next(number uint32) (*comment, uint32) {
	missing := c.last - number
	if missing == 0 {
		return nil, number
	}
	number = c.last - min(missing, maxComments) + 1
	return &c.newest[number%maxComments], number
}
