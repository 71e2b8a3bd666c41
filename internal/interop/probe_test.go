package interop

import (
	"net/http"
	"sync"

	"github.com/sse-go/sse"
)

// retryScript checks whether a client uses the field retry. The client opens a
// second stream, the probe, which has no retry field. The server cuts the probe just
// before it cuts the first stream. The first stream must reconnect before the probe,
// because its retry field is shorter than the default delay of the client.
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
	cutNow chan struct{} // closed by cut
	ended  chan struct{} // closed when the stream is cut

	mu       sync.Mutex // guards the following
	requests int        // number of requests for the probe
}

func newProbe() probe {
	return probe{
		opened: make(chan struct{}),
		cutNow: make(chan struct{}),
		ended:  make(chan struct{}),
	}
}

// serveProbe is the handler of the second stream. It keeps the stream of the first
// request open until cut is called.
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

// cut waits until the second stream is open, and then cuts it. It does nothing if the
// script has no second stream.
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
