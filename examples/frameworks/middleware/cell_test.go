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

// What a cell of the table says.
const (
	streams    = "streams"
	compressed = "streams, compressed"
	holdsBack  = "holds events back"
)

// setup is one way to use a middleware.
type setup struct {
	http2        bool
	gzip         bool          // the client accepts it
	writeTimeout time.Duration // of the http.Server
}

// stage is a server with a handler that the test directs.
type stage struct {
	t        *testing.T
	row      row
	setup    setup
	server   *ssetest.Server
	client   *http.Client
	accepted chan error     // what Accept has returned, of each request
	next     chan sse.Event // sent by the handler, which returns when it is closed
	ended    chan error     // why the stream ended, nil if the handler just returned
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
			server.ErrorLog = log.New(io.Discard, "", 0) // chi's Timeout answers twice
		},
	})
	s.client = s.server.Client()
	transport := s.client.Transport.(*http.Transport).Clone()
	// The client must not undo what was sent, and its buffers must get full.
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

// get sends a request. It hangs for two hours at the most, as does the body, so
// that what is held back is found and not waited for.
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

// run plays all that a stream must stand, and returns what the table says of it.
func run(t *testing.T, row row, setup setup) (result string) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, row, setup)
		start := time.Now()
		resp, leave, err := s.get()
		refused := <-s.accepted
		if refused != nil && err == nil {
			result = s.refusal(resp, refused)
			return
		}
		result = streams
		if err == nil {
			if resp.Header.Get("Content-Encoding") == "gzip" {
				result = compressed
			}
			err = s.hour(resp, start)
		}
		if err != nil {
			result = holdsBack
			if !row.blind || setup.writeTimeout > 0 {
				t.Error(err)
			}
			return
		}
		leave()
		s.clientLeaves()
		if setup.writeTimeout > 0 { // or else Accept has only warned that it will not be noticed
			s.clientStalls()
		}
	})
	return result
}

// refusal checks that a refusal is complete: typed, before the 200, and told to
// whoever looks at the response.
func (s *stage) refusal(resp *http.Response, err error) string {
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

// hour has a stream live for an hour and end: each byte is there before the next
// event is sent, and no time passes until then.
func (s *stage) hour(resp *http.Response, start time.Time) error {
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
			return s.endsInTime(decoder, start)
		}
		time.Sleep(pause) // the bubble's
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

// endsInTime waits for the end that the middleware prepares.
func (s *stage) endsInTime(decoder *sse.Decoder, start time.Time) error {
	event, err := decoder.Next()
	if cause := <-s.ended; err != io.EOF || !errors.Is(cause, context.DeadlineExceeded) {
		s.t.Errorf("at the end: %q, %v, because of %v", event.Data, err, cause)
	}
	if lived := time.Since(start); lived != s.row.ends {
		s.t.Errorf("the stream lived for %v, want %v", lived, s.row.ends)
	}
	return nil
}

// clientLeaves checks that the handler hears of it at once.
func (s *stage) clientLeaves() {
	_, leave, err := s.get()
	if err != nil || <-s.accepted != nil {
		s.t.Fatal("the second request is not answered as the first was")
	}
	time.Sleep(time.Minute) // the bubble's
	start := time.Now()
	leave()
	cause := <-s.ended
	if waited := time.Since(start); !errors.Is(cause, sse.ErrPeerGone) || waited != 0 {
		s.t.Errorf("a client that leaves ends the stream with %v after %v", cause, waited)
	}
}

// clientStalls checks that a client that does not read is cut after Accept's
// WriteTimeout. The events do not compress, so that they fill the buffers.
func (s *stage) clientStalls() {
	if _, _, err := s.get(); err != nil || <-s.accepted != nil {
		s.t.Fatal("the third request is not answered as the first was")
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

// decoded returns the body as it was before a middleware compressed it. It reads
// no more than it needs for the byte that is asked for.
func decoded(resp *http.Response) (io.Reader, error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return resp.Body, nil
	}
	return gzip.NewReader(resp.Body)
}
