// Command fiber is the server of examples/quickstart, inside fiber. fiber is built on
// fasthttp and has no http.ResponseWriter, so this program cannot call sse.Accept.
// Instead, it writes with sse.NewEncoder, and has code of its own for a part of the work
// of an sse.Stream. README.md in the directory above lists the missing parts.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/sse-go/sse"
)

var (
	clients sync.Map     // the key is a stream's channel, the value ends the stream
	count   atomic.Int64 // messages so far
)

func main() {
	err := app().Listen("localhost:3000")
	log.Fatal(err, "; if another program uses port 3000, stop it, or change 3000 in main.go")
}

func app() *fiber.App {
	app := fiber.New()
	app.Get("/handshake", handshake)
	app.All("/", send)
	return app
}

func handshake(c fiber.Ctx) error {
	c.Set("Content-Type", "text/event-stream")
	c.Set("Cache-Control", "no-store, no-transform")
	c.Set("X-Accel-Buffering", "no")
	c.Set("Incremental", "?1")
	conn := c.RequestCtx().Conn() // c must not be used after handshake has returned
	return c.SendStreamWriter(func(w *bufio.Writer) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		events := make(chan sse.Event, 16) // the client may be 16 events behind
		clients.Store(events, cancel)
		log.Print("client connected")
		stream(ctx, w, conn, events)
		clients.Delete(events)
		log.Print("client left")
	})
}

// stream sends events until ctx is done or the client has left. fasthttp reports a lost
// client only when a write fails. Therefore stream writes a heartbeat each second.
func stream(ctx context.Context, w *bufio.Writer, conn net.Conn, events <-chan sse.Event) {
	encoder := sse.NewEncoder(w)
	heartbeat := time.NewTicker(time.Second)
	defer heartbeat.Stop()
	defer conn.SetWriteDeadline(time.Time{})             // or it would end the next response
	write := func() error { return encoder.Comment("") } // proxies wait for the first byte
	for {
		conn.SetWriteDeadline(time.Now().Add(5 * time.Second)) // ends the stream of a stalled client
		if write() != nil || w.Flush() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			write = func() error { return encoder.Encode(event) }
		case <-heartbeat.C:
			write = func() error { return encoder.Comment("") }
		}
	}
}

func send(c fiber.Ctx) error {
	event := sse.Event{Data: string(c.Body())}
	number := count.Add(1)
	if event.Data == "" {
		event.Data = fmt.Sprint("Hello ", number)
	}
	reached := 0
	for events, cancel := range clients.Range {
		if c.Method() == fiber.MethodDelete {
			cancel.(context.CancelFunc)()
			continue
		}
		select {
		case events.(chan sse.Event) <- event:
			reached++
		default: // the channel is full: this client misses the event
		}
	}
	return c.SendString(fmt.Sprintln("clients reached:", reached))
}
