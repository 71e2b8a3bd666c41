package behaviour

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	donovanhide "github.com/donovanhide/eventsource"
	gincontrib "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	ogen "github.com/ogen-go/ogen/sse"
	"github.com/openai/openai-go/v3/packages/ssestream"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
	"gopkg.in/cenkalti/backoff.v1"

	"github.com/sse-go/sse"
)

var sseDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) []got { return decodeOurs(r, 0) },
	limited: func(r io.Reader, limit int) []got {
		return decodeOurs(r, limit)
	},
}

func decodeOurs(r io.Reader, limit int) (events []got) {
	d := sse.NewDecoder(r, &sse.DecoderOptions{MaxEventSize: limit})
	for event, err := range d.Events() {
		if err == nil {
			events = append(events,
				got{event.LastEventID, event.Type, event.Data, event.Retry.Milliseconds()})
		}
	}
	return events
}

var tmaxmaxDecode = decodeAdapter{
	id: true, typ: true,
	decode: func(r io.Reader) []got { return decodeTmaxmax(r, nil) },
	limited: func(r io.Reader, limit int) []got {
		return decodeTmaxmax(r, &tmaxmax.ReadConfig{MaxEventSize: limit})
	},
}

func decodeTmaxmax(r io.Reader, config *tmaxmax.ReadConfig) (events []got) {
	for event, err := range tmaxmax.Read(r, config) {
		if err == nil {
			events = append(events, got{id: event.LastEventID, typ: event.Type, data: event.Data})
		}
	}
	return events
}

// r3labs does not export its decoder, so r3labsDecode uses the client. The client
// reports every event that has a field.
var r3labsDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) []got { return decodeR3labs(r) },
	limited: func(r io.Reader, limit int) []got {
		return decodeR3labs(r, r3labs.ClientMaxBufferSize(limit))
	},
}

func decodeR3labs(r io.Reader, options ...func(*r3labs.Client)) (events []got) {
	client := r3labs.NewClient("http://peer.invalid/", options...)
	client.Connection = &http.Client{Transport: body{r}}
	client.ReconnectStrategy = &backoff.StopBackOff{} // there is only one stream
	_ = client.SubscribeRaw(func(event *r3labs.Event) {
		retry, _ := strconv.ParseInt(string(event.Retry), 10, 64)
		events = append(events,
			got{string(event.ID), string(event.Event), string(event.Data), retry})
	})
	return events
}

var launchdarklyDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) (events []got) {
		d := launchdarkly.NewDecoder(r)
		for {
			event, err := d.Decode()
			if err != nil {
				return events
			}
			e := got{typ: event.Event(), data: event.Data(), retry: retryOf(event)}
			e.id = event.(launchdarkly.EventWithLastID).LastEventID()
			events = append(events, e)
		}
	},
}

var donovanhideDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) (events []got) {
		d := donovanhide.NewDecoder(r)
		for {
			event, err := d.Decode()
			if err != nil {
				return events
			}
			events = append(events, got{event.Id(), event.Event(), event.Data(), retryOf(event)})
		}
	},
}

func retryOf(event any) int64 {
	return event.(interface{ Retry() int64 }).Retry()
}

var ogenDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) []got { return decodeOgen(r, 0) },
	limited: func(r io.Reader, limit int) []got {
		return decodeOgen(r, limit)
	},
}

func decodeOgen(r io.Reader, limit int) (events []got) {
	d := ogen.NewDecoder(r, 0, limit, "", nil)
	for {
		event, err := d.Decode()
		if err == ogen.ErrEventTooLarge {
			continue
		}
		if err != nil {
			return events
		}
		e := got{id: d.LastEventID(), typ: event.Type, data: event.Data}
		if e.typ == ogen.DefaultEventType {
			e.typ = ""
		}
		if event.Retry != nil {
			e.retry = event.Retry.Milliseconds()
		}
		events = append(events, e)
	}
}

var openaiDecode = decodeAdapter{
	typ: true, keepsLF: true,
	decode: func(r io.Reader) (events []got) {
		d := ssestream.NewDecoder(respond(r))
		for d.Next() {
			event := d.Event()
			events = append(events, got{typ: event.Type, data: string(event.Data)})
		}
		return events
	},
}

var ginDecode = decodeAdapter{
	id: true, typ: true, retry: true,
	decode: func(r io.Reader) (events []got) {
		decoded, err := gincontrib.Decode(r)
		if err != nil {
			return nil
		}
		for _, event := range decoded {
			e := got{event.Id, event.Event, event.Data.(string), int64(event.Retry)}
			if e.typ == "message" {
				e.typ = ""
			}
			events = append(events, e)
		}
		return events
	},
}

// The MCP go-sdk does not export its decoder. So mcpDecode uses a transport, which
// returns only JSON-RPC messages. The transport may report the end of a stream before
// it has returned all messages. So decodeMCP does not end the stream, but appends a
// last message to it.
var mcpDecode = decodeAdapter{
	jsonOnly: true,
	decode:   func(r io.Reader) []got { return decodeMCP(r, 0) },
	limited:  decodeMCP,
}

func decodeMCP(r io.Reader, limit int) (events []got) {
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	// The transport expects an event "endpoint" at the beginning of the stream. If
	// the case has a BOM, put the BOM before this event. The event must have a Read
	// of its own, because the transport loses the bytes that it reads together with
	// it.
	first := "event: endpoint\ndata: /messages\n\n"
	start := make([]byte, 3)
	n, _ := io.ReadFull(r, start)
	if string(start[:n]) == "\uFEFF" {
		first = "\uFEFF" + first
	} else {
		r = io.MultiReader(bytes.NewReader(start[:n]), r)
	}
	end, more := io.Pipe()
	defer more.Close()
	const last = "data: " + `{"jsonrpc":"2.0","method":"last"}` + "\n\n"
	stream := io.MultiReader(strings.NewReader(first), r, strings.NewReader(last), end)
	transport := &mcp.SSEClientTransport{
		Endpoint:     "http://peer.invalid/",
		HTTPClient:   &http.Client{Transport: body{stream}},
		MaxEventSize: limit,
	}
	conn, err := transport.Connect(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	for {
		message, err := conn.Read(ctx)
		request, ok := message.(*jsonrpc.Request)
		if err != nil || ok && request.Method == "last" {
			return events
		}
		if ok {
			events = append(events, got{data: request.Method})
		}
	}
}

// body answers every request with the same body, without a network.
type body struct{ r io.Reader }

func (b body) RoundTrip(req *http.Request) (*http.Response, error) {
	response := respond(b.r)
	response.Request = req
	return response, nil
}

func respond(r io.Reader) *http.Response {
	return &http.Response{
		Status:     "200 OK",
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{"Content-Type": {"text/event-stream"}},
		Body:       io.NopCloser(r),
	}
}
