package behaviour

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
	donovanhide "github.com/donovanhide/eventsource"
	gincontrib "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/starfederation/datastar-go/datastar"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/sse-go/sse"
)

var sseEncode = encodeAdapter{true, func(e got) ([]byte, error) {
	return sse.AppendEvent(nil, sse.Event{ID: e.id, Type: e.typ, Data: e.data,
		Retry: time.Duration(e.retry) * time.Millisecond})
}}

var tmaxmaxEncode = encodeAdapter{true, func(e got) ([]byte, error) {
	message := &tmaxmax.Message{Retry: time.Duration(e.retry) * time.Millisecond}
	var err error
	if e.id != "" {
		if message.ID, err = tmaxmax.NewID(e.id); err != nil {
			return nil, err
		}
	}
	if e.typ != "" {
		if message.Type, err = tmaxmax.NewType(e.typ); err != nil {
			return nil, err
		}
	}
	message.AppendData(e.data)
	return message.MarshalText()
}}

// The encoder of r3labs is inside its handler. The handler sets the ID of every
// event, so r3labsEncode cannot encode an event with another ID.
var r3labsEncode = encodeAdapter{true, func(e got) ([]byte, error) {
	if e.id != "" {
		return nil, errUnable
	}
	server := r3labs.New()
	server.SplitData = true // README, "multi-line data"
	server.AutoReplay = false
	defer server.Close()
	server.CreateStream("s")
	w := newRecorder()
	ctx, cancel := timeout()
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/?stream=s", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeHTTP(w, request)
	}()
	<-w.flushed // the handler flushes the headers after it has subscribed
	event := &r3labs.Event{Event: []byte(e.typ), Data: []byte(e.data)}
	if e.retry != 0 {
		event.Retry = strconv.AppendInt(nil, e.retry, 10)
	}
	server.Publish("s", event)
	select {
	case <-w.flushed:
	case <-done: // the handler has ended the stream
	}
	return w.bytes(), nil
}}

var launchdarklyEncode = encodeAdapter{false, func(e got) ([]byte, error) {
	var b bytes.Buffer
	err := launchdarkly.NewEncoder(&b, false).Encode(asEvent(e))
	return b.Bytes(), err
}}

var donovanhideEncode = encodeAdapter{false, func(e got) ([]byte, error) {
	var b bytes.Buffer
	err := donovanhide.NewEncoder(&b, false).Encode(asEvent(e))
	return b.Bytes(), err
}}

// asEvent implements the event interface of two libraries.
type asEvent got

func (e asEvent) Id() string    { return e.id }
func (e asEvent) Event() string { return e.typ }
func (e asEvent) Data() string  { return e.data }

var ginEncode = encodeAdapter{true, func(e got) ([]byte, error) {
	var b bytes.Buffer
	err := gincontrib.Encode(&b,
		gincontrib.Event{Event: e.typ, Id: e.id, Data: e.data, Retry: uint(e.retry)})
	return b.Bytes(), err
}}

// alexandrevicenzi has no retry time for an event, only one for a whole server.
var alexandrevicenziEncode = encodeAdapter{false, func(e got) ([]byte, error) {
	return alexandrevicenzi.NewMessage(e.id, e.data, e.typ).Bytes(), nil
}}

// Send of datastar takes the lines of the data. Like datastar itself, datastarEncode
// splits the data with strings.Split. Events of datastar always have a type.
var datastarEncode = encodeAdapter{true, func(e got) ([]byte, error) {
	w := httptest.NewRecorder()
	stream := datastar.NewSSE(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var options []datastar.SSEEventOption
	if e.id != "" {
		options = append(options, datastar.WithSSEEventId(e.id))
	}
	if e.retry != 0 {
		options = append(options,
			datastar.WithSSERetryDuration(time.Duration(e.retry)*time.Millisecond))
	}
	err := stream.Send(datastar.EventType(e.typ), strings.Split(e.data, "\n"), options...)
	return w.Body.Bytes(), err
}}
