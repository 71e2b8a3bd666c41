package brokertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sse-go/sse"
)

// Reader is a client that reads nothing of its stream until Start is called. Until
// then, the server can write only as much as fits into the buffers on the way.
type Reader struct {
	body    io.ReadCloser
	started chan struct{} // closed by Start
	done    chan struct{} // closed when the stream has been read to its end

	mu     sync.Mutex // guards the following
	events []sse.Event
}

// Readers connects n clients that read nothing until their Start is called.
func (f *Fixture) Readers(n int, query string) []*Reader {
	f.T.Helper()
	client := f.Server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	// Without this limit, an HTTP/2 client accepts 4 MB of each stream before the
	// reader reads anything.
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	client.Transport = transport
	f.T.Cleanup(transport.CloseIdleConnections)
	readers := make([]*Reader, n)
	for i := range readers {
		resp, err := client.Get(f.Server.URL() + "/" + query) //nolint:bodyclose // Reader.close does
		if err != nil {
			f.T.Fatal(err)
		}
		r := &Reader{body: resp.Body, started: make(chan struct{}), done: make(chan struct{})}
		go r.read()
		f.T.Cleanup(r.close)
		readers[i] = r
	}
	synctest.Wait()
	return readers
}

// Start makes the client read its stream to the end. It must be called at most
// once.
func (r *Reader) Start() { close(r.started) }

func (r *Reader) close() {
	_ = r.body.Close()
	select {
	case <-r.started:
	default:
		close(r.started)
	}
	<-r.done
}

func (r *Reader) read() {
	defer close(r.done)
	<-r.started
	for event, err := range sse.NewDecoder(r.body, nil).Events() {
		if err != nil || event.Type == "sse.cursor" {
			continue
		}
		// Store a copy of the number. The number alone would retain all of the data.
		number, _, _ := strings.Cut(event.Data, " ")
		r.mu.Lock()
		r.events = append(r.events,
			sse.Event{ID: event.ID, Type: event.Type, Data: strings.Clone(number)})
		r.mu.Unlock()
	}
}

// Data returns the numbers of the events read so far (see [Numbered]). For a gap
// it returns the same text as [DataAndGaps].
func (r *Reader) Data() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return DataAndGaps(r.events)
}

// Numbered returns data for a large event: the number, a space, and size bytes.
func Numbered(number, size int) string {
	return fmt.Sprint(number, " ", strings.Repeat("x", size))
}

// PublishNumbered publishes an event without a topic whose data is
// Numbered(number, size).
func PublishNumbered(tb testing.TB, broker *sse.Broker, number, size int) {
	tb.Helper()
	event := sse.Event{Data: Numbered(number, size)}
	if _, err := broker.Publish(context.Background(), event); err != nil {
		tb.Fatal(err)
	}
}
