package sse

import "sync"

// pagePermit is one permit of the semaphore pageReader.permits, which limits how many
// pages of the log are in memory. A permit is acquired before a page is read, and
// released at the latest when the page was written or discarded. Releasing nil, or
// releasing twice, is a no-op.
type pagePermit struct {
	permits <-chan struct{}
	once    sync.Once
}

func (p *pagePermit) release() {
	if p != nil {
		p.once.Do(func() { <-p.permits })
	}
}
