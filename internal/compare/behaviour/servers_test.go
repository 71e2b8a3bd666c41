package behaviour

import (
	"net/http"

	alexandrevicenzi "github.com/alexandrevicenzi/go-sse"
	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/starfederation/datastar-go/datastar"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/sse-go/sse"
)

// subject is a server under test, with one topic.
type subject struct {
	handler  http.Handler
	publish  func(data string) // nil if the server cannot publish
	shutdown func()            // nil if the application must end the streams itself
}

type serverAdapter func() subject

func sseServer() subject {
	events, done := make(chan string, 1000), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, &sse.AcceptOptions{Done: done})
		if err != nil {
			return
		}
		defer stream.Close()
		for {
			select {
			case <-stream.Context().Done():
				return
			case data := <-events:
				if err := stream.Send(sse.Event{Data: data}); err != nil {
					return
				}
			}
		}
	}
	return subject{
		handler:  http.HandlerFunc(handler),
		publish:  func(data string) { events <- data },
		shutdown: func() { close(done) },
	}
}

func tmaxmaxServer() subject {
	server := &tmaxmax.Server{}
	return subject{
		handler: server,
		publish: func(data string) {
			message := &tmaxmax.Message{}
			message.AppendData(data)
			_ = server.Publish(message)
		},
		shutdown: func() {
			ctx, cancel := timeout()
			defer cancel()
			_ = server.Shutdown(ctx)
		},
	}
}

func r3labsServer() subject {
	server := r3labs.New()
	server.AutoReplay = false
	server.CreateStream("s")
	return subject{
		handler:  server,
		publish:  func(data string) { server.Publish("s", &r3labs.Event{Data: []byte(data)}) },
		shutdown: server.Close,
	}
}

func launchdarklyServer() subject {
	server := launchdarkly.NewServer()
	return subject{
		handler:  server.Handler("s"),
		publish:  func(data string) { server.Publish([]string{"s"}, asEvent{data: data}) },
		shutdown: server.Close,
	}
}

func donovanhideServer() subject {
	server := donovanhide.NewServer()
	return subject{
		handler:  server.Handler("s"),
		publish:  func(data string) { server.Publish([]string{"s"}, asEvent{data: data}) },
		shutdown: server.Close,
	}
}

func alexandrevicenziServer() subject {
	server := alexandrevicenzi.NewServer(&alexandrevicenzi.Options{Logger: discard})
	return subject{
		handler: server,
		publish: func(data string) {
			server.SendMessage("/", alexandrevicenzi.SimpleMessage(data))
		},
		shutdown: server.Shutdown,
	}
}

func datastarServer() subject {
	events := make(chan string, 1000)
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream := datastar.NewSSE(w, r)
		for {
			select {
			case <-stream.Context().Done():
				return
			case data := <-events:
				if err := stream.Send("message", []string{data}); err != nil {
					return
				}
			}
		}
	}
	return subject{
		handler: http.HandlerFunc(handler),
		publish: func(data string) { events <- data },
	}
}

func mcpServer() subject {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	return subject{
		handler: mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, nil),
	}
}

// ginServer is nil, because gin-contrib has only an encoder. The handler belongs to
// gin.
var ginServer serverAdapter
