package segmentlog

import "sync"

// signal wakes the goroutines that wait for a change.
type signal struct {
	mu sync.Mutex    // guards the following
	ch chan struct{} // closed at the next change; nil if nobody waits
}

// wait returns a channel that is closed at the next change. Check for changes
// after the call, or a change may go unnoticed.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
