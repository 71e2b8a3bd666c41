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

// Reader is a client that reads nothing of its stream until Start.
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
	// Without this limit an HTTP/2 client reads 4 MB ahead for each stream.
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

// Start makes the client read from now on. It may be called once.
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
		// The data is long: keep a copy of its number only.
		number, _, _ := strings.Cut(event.Data, " ")
		r.mu.Lock()
		r.events = append(r.events,
			sse.Event{ID: event.ID, Type: event.Type, Data: strings.Clone(number)})
		r.mu.Unlock()
	}
}

// Data returns the numbers of the events read so far (see [Numbered]); a gap is
// as in [DataAndGaps].
func (r *Reader) Data() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return DataAndGaps(r.events)
}

// Numbered returns the data of a large event: its number, a space, and size
// bytes.
func Numbered(number, size int) string {
	return fmt.Sprint(number, " ", strings.Repeat("x", size))
}

// PublishNumbered publishes an event whose data is Numbered(number, size).
func PublishNumbered(tb testing.TB, broker *sse.Broker, number, size int) {
	tb.Helper()
	event := sse.Event{Data: Numbered(number, size)}
	if _, err := broker.Publish(context.Background(), event); err != nil {
		tb.Fatal(err)
	}
}
