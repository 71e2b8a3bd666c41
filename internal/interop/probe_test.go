package interop

import (
	"net/http"
	"sync"

	"github.com/sse-go/sse"
)

// retryScript checks whether a client uses the field retry. The server cuts the
// probe, a second stream that has no retry field, just before it cuts the first
// stream. The first stream must reconnect first, because its field retry is
// shorter than the delay of the client.
func retryScript() script {
	return script{
		sendStep(sse.Event{Type: receipt, Data: "cut beside the other", ID: "1"}),
		{do: cut},
		{do: alone},
		sendStep(sse.Event{Type: done, Data: "the end"}),
	}
}

// probe is the second stream of retryScript.
type probe struct {
	wanted bool          // the script has a second stream
	opened chan struct{} // closed when the stream is open
	cutNow chan struct{} // closed to cut the stream
	ended  chan struct{} // closed when the stream is cut

	mu       sync.Mutex // guards the following
	requests int
}

func newProbe() probe {
	return probe{
		opened: make(chan struct{}),
		cutNow: make(chan struct{}),
		ended:  make(chan struct{}),
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
	defer close(p.ended)
	close(p.opened)
	select {
	case <-p.cutNow:
		stream.Close()
		panic(http.ErrAbortHandler)
	case <-stream.Context().Done():
	}
}

// cut cuts the second stream, if the script has one, and blocks until the
// connection is closed.
func (p *probe) cut() {
	if p.wanted {
		<-p.opened
		close(p.cutNow)
		<-p.ended
	}
}

// checkNotReconnected fails the run if the second stream has reconnected.
func (p *probe) checkNotReconnected(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests != 1 {
		r.fail("the stream without a retry field must reconnect last, but reconnected first")
	}
}
