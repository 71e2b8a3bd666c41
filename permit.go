package sse

import "sync"

// pagePermit is one permit of the page semaphore, held from before a page is read
// until it has been written. Releasing nil, or releasing twice, is a no-op.
type pagePermit struct {
	permits <-chan struct{}
	once    sync.Once
}

func (p *pagePermit) release() {
	if p != nil {
		p.once.Do(func() { <-p.permits })
	}
}
