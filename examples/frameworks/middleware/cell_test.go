package middleware_test

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// The texts in a cell of the table. docs/MIDDLEWARE.md explains them.
const (
	streams    = "streams"
	compressed = "streams, compressed"
	delays     = "delays events"
)

// setup is one way to run the server and the client.
type setup struct {
	http2        bool
	gzip         bool          // the client accepts gzip
	writeTimeout time.Duration // of the http.Server
}

// stage is a server behind a middleware, with a handler that the test controls.
type stage struct {
	t        *testing.T
	row      row
	setup    setup
	server   *ssetest.Server
	client   *http.Client
	accepted chan error     // the result of Accept, for each request
	next     chan sse.Event // the handler sends these events, and returns when next is closed
	ended    chan error     // the reason why the stream ended; nil if next was closed
}

func newStage(t *testing.T, row row, setup setup) *stage {
	s := &stage{
		t:        t,
		row:      row,
		setup:    setup,
		accepted: make(chan error, 1),
		next:     make(chan sse.Event),
		ended:    make(chan error, 1),
	}
	s.server = ssetest.NewServer(t, row.wrap(s), &ssetest.ServerOptions{
		HTTP2: setup.http2,
		Configure: func(server *http.Server) {
			server.WriteTimeout = setup.writeTimeout
			server.ErrorLog = log.New(io.Discard, "", 0) // chi's Timeout sends a second status
		},
	})
	s.client = s.server.Client()
	transport := s.client.Transport.(*http.Transport).Clone()
	// The client must not decompress the response, and its buffers must fill up.
	transport.DisableCompression = true
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	s.client.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	return s
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream, err := sse.Accept(w, r, nil)
	s.accepted <- err
	if err != nil {
		return
	}
	defer stream.Close()
	for {
		select {
		case <-stream.Context().Done():
			s.ended <- context.Cause(stream.Context())
			return
		case event, more := <-s.next:
			if !more {
				s.ended <- nil
				return
			}
			if err := stream.Send(event); err != nil {
				s.ended <- err
				return
			}
		}
	}
}

// get sends a request. The request and the body end after two hours at the latest,
// so that a delayed event fails the test instead of blocking it.
func (s *stage) get() (resp *http.Response, leave func(), err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Hour)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL()+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.setup.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if resp, err = s.client.Do(req); err != nil {
		cancel()
		return nil, nil, err
	}
	leave = func() { cancel(); resp.Body.Close() }
	s.t.Cleanup(leave)
	return resp, leave, nil
}

// run tests a stream behind one middleware in one setup, and returns the text for
// the table.
func run(t *testing.T, row row, setup setup) (result string) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, row, setup)
		start := time.Now()
		resp, leave, err := s.get()
		refused := <-s.accepted
		if refused != nil && err == nil {
			result = s.checkRefusal(resp, refused)
			return
		}
		result = streams
		if err == nil {
			if resp.Header.Get("Content-Encoding") == "gzip" {
				result = compressed
			}
			err = s.streamForHour(resp, start)
		}
		if err != nil {
			result = delays
			if !row.delaysUnseen || setup.writeTimeout > 0 {
				t.Error(err)
			}
			return
		}
		leave()
		s.checkLeave()
		if setup.writeTimeout > 0 { // otherwise a stream may have no write deadlines
			s.checkStall()
		}
	})
	return result
}

// checkRefusal checks a refusal: the error is a *WriterError that names the type of the
// middleware's writer, the status is 500, and the body names the same type.
func (s *stage) checkRefusal(resp *http.Response, err error) string {
	var writer *sse.WriterError
	if !errors.As(err, &writer) || writer.Type == "" {
		s.t.Errorf("Accept: %v, want a *WriterError with a type", err)
		return err.Error()
	}
	var body []byte
	plain, readErr := decoded(resp)
	if readErr == nil {
		body, readErr = io.ReadAll(plain)
	}
	if resp.StatusCode != http.StatusInternalServerError || readErr != nil ||
		!strings.Contains(string(body), writer.Type) {
		s.t.Errorf("refused with %s, %q, %v, want 500 and %s",
			resp.Status, body, readErr, writer.Type)
	}
	return fmt.Sprintf("refused: names `%s`", writer.Type)
}

// streamForHour sends events for more than an hour of fake time, and then ends the
// stream. Each event must arrive without any delay.
func (s *stage) streamForHour(resp *http.Response, start time.Time) error {
	body, err := decoded(resp)
	if err != nil {
		return fmt.Errorf("no first byte: %w", err)
	}
	first := make([]byte, 2)
	if _, err := io.ReadFull(body, first); err != nil || string(first) != ":\n" {
		return fmt.Errorf("the first bytes are %q, %v", first, err)
	}
	if waited := time.Since(start); waited != 0 {
		return fmt.Errorf("the first byte came after %v", waited)
	}
	decoder := sse.NewDecoder(body, nil)
	for i, pause := range []time.Duration{0, 0, time.Second, 4 * time.Second, time.Minute, time.Hour} {
		if s.row.ends > 0 && pause > s.row.ends {
			return s.checkTimeLimit(decoder, start)
		}
		time.Sleep(pause) // in the fake time of synctest
		want := fmt.Sprint("event ", i)
		s.next <- sse.Event{Data: want}
		sent := time.Now()
		event, err := decoder.Next()
		if waited := time.Since(sent); err != nil || string(event.Data) != want || waited != 0 {
			return fmt.Errorf("%s is received as %q, %v, after %v", want, event.Data, err, waited)
		}
	}
	close(s.next)
	if err := <-s.ended; err != nil {
		s.t.Errorf("the stream ended with %v", err)
	}
	if event, err := decoder.Next(); err != io.EOF {
		s.t.Errorf("after the end: %q, %v, want EOF", event.Data, err)
	}
	s.next = make(chan sse.Event)
	return nil
}

// checkTimeLimit checks that the middleware ends the stream at its time limit.
func (s *stage) checkTimeLimit(decoder *sse.Decoder, start time.Time) error {
	event, err := decoder.Next()
	if cause := <-s.ended; err != io.EOF || !errors.Is(cause, context.DeadlineExceeded) {
		s.t.Errorf("at the end: %q, %v, because of %v", event.Data, err, cause)
	}
	if lived := time.Since(start); lived != s.row.ends {
		s.t.Errorf("the stream lived for %v, want %v", lived, s.row.ends)
	}
	return nil
}

// checkLeave checks that the stream ends at once when the client leaves.
func (s *stage) checkLeave() {
	_, leave, err := s.get()
	if err != nil || <-s.accepted != nil {
		s.t.Fatal("the second request has another result than the first")
	}
	time.Sleep(time.Minute) // in the fake time of synctest
	start := time.Now()
	leave()
	cause := <-s.ended
	if waited := time.Since(start); !errors.Is(cause, sse.ErrPeerGone) || waited != 0 {
		s.t.Errorf("a client that leaves ends the stream with %v after %v", cause, waited)
	}
}

// checkStall checks that the stream of a client that does not read ends after
// AcceptOptions.WriteTimeout. The data of the events is random, so that gzip cannot make
// it small, and it fills the buffers.
func (s *stage) checkStall() {
	if _, _, err := s.get(); err != nil || <-s.accepted != nil {
		s.t.Fatal("the third request has another result than the first")
	}
	noise := make([]byte, 32<<10)
	rand.Read(noise)
	event := sse.Event{Data: hex.EncodeToString(noise)}
	start := time.Now()
	for {
		select {
		case s.next <- event:
		case cause := <-s.ended:
			waited := time.Since(start)
			if !errors.Is(cause, sse.ErrPeerGone) || waited != 30*time.Second {
				s.t.Errorf("a client that stalls ends the stream with %v after %v", cause, waited)
			}
			return
		}
	}
}

// decoded returns a reader of the decompressed body. A Read returns decompressed bytes as
// soon as the bytes of the body that it needs have arrived, without waiting for more.
func decoded(resp *http.Response) (io.Reader, error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return resp.Body, nil
	}
	return gzip.NewReader(resp.Body)
}
