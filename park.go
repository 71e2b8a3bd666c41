package sse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/sse-go/sse/internal/poll"
)

// loops has the loops of a broker. They write to the parked streams: the streams that
// wait without a goroutine of their own. state.mu guards the fields except wait.
type loops struct {
	st        *state
	newPoller func() (poll.Poller, error) // poll.New if nil; tests set a fake
	all       []*loop                     // nil until start has succeeded
	next      int                         // streams so far; all[next%len(all)] has the newest
	wait      sync.WaitGroup              // for all goroutines of the loops and of pages
	allEnded  chan struct{}               // made by stop, closed when wait is done

	pages pageWorkers
}

// accept reports whether the loops can write to a stream whose connection has the type
// conn. If they cannot, why is the reason. A nil conn means that the type is unknown.
// accept starts the loops if they are not running.
func (l *loops) accept(st *state, conn reflect.Type) (why string, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || st.draining {
		return "the broker is shutting down", false // the loops may have ended
	}
	if err := l.start(st); err != nil {
		return err.Error(), false
	}
	switch {
	case conn == nil:
		return "the type of the connection is unknown", false
	case !l.all[0].poller.Adopts(conn):
		return fmt.Sprintf("the connection is a %v", conn), false
	}
	return "", true
}

// start starts the loops, unless they are running: one fewer than GOMAXPROCS, but at
// least one. As many loops as GOMAXPROCS would leave no processor to publishers. If a
// poller cannot be created, start returns the error and starts no loop. The caller holds
// state.mu.
func (l *loops) start(st *state) error {
	if l.all != nil {
		return nil
	}
	newPoller := l.newPoller
	if newPoller == nil {
		newPoller = poll.New
	}
	var all []*loop
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		p, err := newPoller()
		if err != nil {
			for _, started := range all {
				started.poller.Stop()
				started.poller.Free()
			}
			return err
		}
		all = append(all, &loop{
			st: st, pages: &l.pages, poller: p, wakeup: make(chan struct{}, 1),
		})
	}
	l.st, l.all = st, all
	l.pages.init(&st.pages, &l.wait)
	for _, loop := range all {
		l.wait.Go(loop.run)
		l.wait.Go(loop.poll)
	}
	return nil
}

// stop makes each loop end after its last stream, and blocks until the goroutines of all
// loops and of pages have ended. When ctx is done, stop waits for shutdownGrace more. If
// some goroutines still run then, it returns an error that wraps the cause of ctx. mu is
// state.mu, and the caller does not hold it.
func (l *loops) stop(ctx context.Context, mu *sync.Mutex) error {
	mu.Lock()
	for _, loop := range l.all {
		loop.stopping = true
		loop.wake()
		loop.poller.Stop()
	}
	if l.pages.stop != nil {
		l.pages.stop()
	}
	ended := l.allEnded
	if ended == nil {
		ended = make(chan struct{})
		l.allEnded = ended
		go func() { // ends when the last stream has ended and no hook or call of the log runs
			l.wait.Wait()
			for _, loop := range l.all {
				loop.poller.Free()
			}
			close(ended)
		}()
	}
	mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-ended: // Shutdown has aborted the last streams, so they end soon
		return nil
	case <-time.After(shutdownGrace):
		return fmt.Errorf("sse: a hook or Broker.Log is still running at shutdown: %w",
			context.Cause(ctx))
	}
}

// park begins the response of a stream, takes the connection from net/http, and gives
// the connection to a loop. Even if park returns an error, the caller must not write a
// response: park has begun one.
func (l *loops) park(w http.ResponseWriter, r *http.Request, pending *pendingStream) error {
	st := l.st
	defer st.streamBegun(pending)
	opts := st.stream
	opts.Final = nil
	preface := st.renderer.preface(pending.subscriber)
	stream, err := accept(w, r, &opts, &Stream{brokerOwned: true}, preface)
	if err != nil {
		return err
	}
	_ = stream.Close() // without Final, Close sends nothing
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return fmt.Errorf("sse: parking a stream: %w", err)
	}
	p := &parked{subscriber: *pending.subscriber, chunked: r.ProtoAtLeast(1, 1)}
	if err := l.adopt(p, conn, pending); err != nil {
		_ = conn.Close()
		if !errors.Is(err, ErrShutdown) {
			st.logger.Error("sse: a stream was closed because it could not be parked", "error", err)
		}
		return err
	}
	return nil
}

// adopt gives conn to a loop, adds the subscriber p to the broker, and calls OnConnect.
// If adopt returns an error, the caller must close conn.
func (l *loops) adopt(p *parked, conn net.Conn, pending *pendingStream) error {
	st := l.st
	st.mu.Lock()
	if st.closed || st.draining {
		st.mu.Unlock()
		return l.endUnparked(conn, p.chunked)
	}
	l.next++
	p.transport = p
	p.loop = l.all[l.next%len(l.all)]
	token := p.loop.add(p)
	st.mu.Unlock()

	fd, err := p.loop.poller.Adopt(conn, token, st.stream.WriteTimeout)
	if err != nil {
		st.mu.Lock()
		p.loop.remove(p)
		closed := st.closed
		st.mu.Unlock()
		if closed {
			return l.endUnparked(conn, p.chunked) // Adopt failed because stop has stopped the poller
		}
		return err
	}
	p.fd = int32(fd)
	if err = st.enter(&p.subscriber, pending.topics, pending.patterns); err != nil {
		if retry := st.retryFor(err); retry > 0 {
			end := st.renderer.appendEnd(nil, retry, p.chunked)
			p.loop.poller.Write(&poll.Output{FD: fd, Data: end})
		}
		p.loop.poller.Close(fd) // the loop does not use fd yet
		st.mu.Lock()
		p.loop.remove(p)
		st.mu.Unlock()
		return err
	}
	defer func() {
		if !p.connected { // OnConnect has panicked
			p.loop.poller.Close(fd) // the loop does not use fd yet
			st.disconnect(&p.subscriber, ErrClosed)
			st.mu.Lock()
			p.loop.remove(p)
			st.mu.Unlock()
		}
	}()
	st.hooks.callOnConnect(&p.subscriber)
	st.mu.Lock()
	defer st.mu.Unlock()
	p.connected = true
	p.enqueue() // an event may have been published since admit set the cursor
	return nil
}

// endUnparked writes the end of a response to conn, and returns ErrShutdown. adopt calls
// it if the broker shuts down after the response has begun, but before the stream is
// parked.
func (l *loops) endUnparked(conn net.Conn, chunked bool) error {
	_ = conn.SetWriteDeadline(time.Now().Add(shutdownGrace))
	_, _ = conn.Write(l.st.renderer.appendEnd(nil, l.st.retryFor(ErrShutdown), chunked))
	return ErrShutdown
}
