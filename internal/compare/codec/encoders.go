package main

import (
	"net/http"
	"net/http/httptest"
	"strings"

	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
	donovanhide "github.com/donovanhide/eventsource"
	gincontrib "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/starfederation/datastar-go/datastar"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/sse-go/sse"
)

// encoder is an encoder of one library.
type encoder struct {
	name    string
	module  string
	setting string

	// start prepares the encoding of e, and returns a function. Each call of this
	// function encodes e into s.
	start func(e event, s *sink) func() error

	partial bool // the encoder does less work, because it receives split lines
}

var sseEncoders = []encoder{
	{"sse, AppendEvent", "", "`buf, err = sse.AppendEvent(buf[:0], event)`",
		func(e event, s *sink) func() error {
			event := sse.Event{ID: e.id, Type: e.typ, Data: e.data}
			return func() (err error) {
				s.buf, err = sse.AppendEvent(s.buf, event)
				return err
			}
		}, false},
	{"sse, Encoder", "", "`sse.NewEncoder(w).Encode(event)`",
		func(e event, s *sink) func() error {
			event := sse.Event{ID: e.id, Type: e.typ, Data: e.data}
			enc := sse.NewEncoder(s)
			return func() error { return enc.Encode(event) }
		}, false},
}

var encodePeers = []encoder{
	{"tmaxmax", "github.com/tmaxmax/go-sse",
		"`m.AppendData(data); m.WriteTo(w)`; message.go:179, \"strongly preferred over MarshalText\"",
		func(e event, s *sink) func() error {
			return func() error {
				_, err := newMessage(e).WriteTo(s)
				return err
			}
		}, false},
	{"tmaxmax, split in advance", "github.com/tmaxmax/go-sse",
		"`m.WriteTo(w)` of one message that was split into lines in advance: less work",
		func(e event, s *sink) func() error {
			message := newMessage(e)
			return func() error {
				_, err := message.WriteTo(s)
				return err
			}
		}, true},
	{"launchdarkly", "github.com/launchdarkly/eventsource",
		"`NewEncoder(w, false).Encode(event)`; encoder.go:32",
		func(e event, s *sink) func() error {
			enc := launchdarkly.NewEncoder(s, false)
			return func() error { return enc.Encode(asEvent(e)) }
		}, false},
	{"donovanhide", "github.com/donovanhide/eventsource",
		"`NewEncoder(w, false).Encode(event)`; encoder.go:31",
		func(e event, s *sink) func() error {
			enc := donovanhide.NewEncoder(s, false)
			return func() error { return enc.Encode(asEvent(e)) }
		}, false},
	{"gin-contrib", "github.com/gin-contrib/sse",
		"`Encode(w, Event{…})`; sse-encoder.go:43",
		func(e event, s *sink) func() error {
			return func() error {
				return gincontrib.Encode(s, gincontrib.Event{Event: e.typ, Id: e.id, Data: e.data})
			}
		}, false},
	{"alexandrevicenzi", "github.com/alexandrevicenzi/go-sse",
		"`w.Write(NewMessage(id, data, event).Bytes())`, as sse.go:94 does",
		func(e event, s *sink) func() error {
			return func() error {
				_, err := s.Write(alexandrevicenzi.NewMessage(e.id, e.data, e.typ).Bytes())
				return err
			}
		}, false},
	{"datastar", "github.com/starfederation/datastar-go",
		"`NewSSE(w, r).Send(type, lines)`; datastar/sse.go:142",
		startDatastar, false},
}

func newMessage(e event) *tmaxmax.Message {
	message := &tmaxmax.Message{}
	if e.id != "" {
		message.ID = tmaxmax.ID(e.id)
	}
	if e.typ != "" {
		message.Type = tmaxmax.Type(e.typ)
	}
	message.AppendData(e.data)
	return message
}

// asEvent implements the event interface of two libraries.
type asEvent event

//nolint:revive // the interface of those libraries has this name
func (e asEvent) Id() string    { return e.id }
func (e asEvent) Event() string { return e.typ }
func (e asEvent) Data() string  { return e.data }

func startDatastar(e event, s *sink) func() error {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	stream := datastar.NewSSE(response{s, http.Header{}}, request)
	var options []datastar.SSEEventOption
	if e.id != "" {
		options = append(options, datastar.WithSSEEventId(e.id))
	}
	return func() error {
		// Send takes lines. datastar itself splits texts in this way.
		lines := strings.Split(e.data, "\n")
		return stream.Send(datastar.EventType(e.typ), lines, options...)
	}
}

// response is a ResponseWriter that writes the body to a sink.
type response struct {
	*sink
	header http.Header
}

func (r response) Header() http.Header { return r.header }
func (r response) WriteHeader(int)     {}
func (r response) Flush()              {}

// sink stores the written bytes, as the buffer of a connection does. It copies every
// write. If an encoder writes an event in several pieces, it has the cost of several
// calls.
type sink struct{ buf []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), nil
}

func (s *sink) WriteString(p string) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), nil
}
