package sse

const (
	// maxComments is the number of comments that are stored for subscribers that
	// have not received them yet.
	maxComments = 16

	// maxCommentSize limits the text of a comment, in bytes, because each parked
	// stream that is blocked in the middle of a comment stores the rest of it.
	maxCommentSize = 16 << 10
)

// comments is a ring of the newest comments of [Broker.Comment]: the comment with
// number n is at index n modulo maxComments. state.mu guards the ring.
type comments struct {
	newest [maxComments]comment
	last   uint32 // number of the newest comment, from 1; it may wrap around
}

// comment is a comment in wire format.
type comment struct {
	wire  []byte
	after uint64 // a stream sends the comment after its events up to this sequence
}

// add stores a comment. It overwrites the oldest comment if the ring is full.
func (c *comments) add(wire []byte, after uint64) {
	c.last++
	c.newest[c.last%maxComments] = comment{wire, after}
}

// next returns the oldest stored comment that is newer than the comment number, and
// the number of the returned comment. If there is no newer comment, it returns nil and
// number.
func (c *comments) next(number uint32) (*comment, uint32) {
	missing := c.last - number
	if missing == 0 {
		return nil, number
	}
	number = c.last - min(missing, maxComments) + 1
	return &c.newest[number%maxComments], number
}
