package disklog

import "sync"

// signal wakes everybody who waits for a change.
type signal struct {
	mu sync.Mutex    // guards the following
	ch chan struct{} // closed at the next change; nil if nobody waits
}

// wait returns what is closed at the next change. Look at what may have changed
// after that, or a change goes unnoticed.
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
