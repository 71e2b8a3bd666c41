package interop

import (
	"net/http"
	"sync"

	"github.com/sse-go/sse"
)

// impatience is a script that shows whether a client heeds the field retry: a
// second stream, without one, is cut just before the first, and must be back
// after it.
func impatience() script {
	return script{
		say(sse.Event{Type: receipt, Data: "cut beside the other", ID: "1"}),
		{do: cut},
		{do: alone},
		say(sse.Event{Type: done, Data: "the end"}),
	}
}

// probe is the second stream.
type probe struct {
	wanted bool
	opened chan struct{} // closed when it is open
	cutNow chan struct{} // closed when it is to be cut
	away   chan struct{} // closed when it is

	mu       sync.Mutex // guards the following
	requests int
}

func newProbe() probe {
	return probe{
		opened: make(chan struct{}),
		cutNow: make(chan struct{}),
		away:   make(chan struct{}),
	}
}

func (r *run) serveProbe(w http.ResponseWriter, req *http.Request) {
	p := &r.probe
	p.mu.Lock()
	p.requests++
	first := p.requests == 1
	p.mu.Unlock()
	stream, err := sse.Accept(w, req, nil)
	if err != nil {
		return
	}
	defer stream.Close()
	if !first {
		<-stream.Context().Done()
		return
	}
	defer close(p.away)
	close(p.opened)
	select {
	case <-p.cutNow:
		stream.Close()
		panic(http.ErrAbortHandler)
	case <-stream.Context().Done():
	}
}

// cut cuts the second stream, and returns when it is cut.
func (p *probe) cut() {
	if p.wanted {
		<-p.opened
		close(p.cutNow)
		<-p.away
	}
}

func (p *probe) mustBeAway(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests != 1 {
		r.fail("the stream without a retry field is back first")
	}
}
