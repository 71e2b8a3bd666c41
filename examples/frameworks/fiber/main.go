// Command fiber is the server of examples/quickstart, inside fiber. That is
// fasthttp, which has no http.ResponseWriter: no sse.Accept, only the encoder,
// and by hand what a Stream does. See the README for what is missing.
package main

import (
	"bufio"
	"cmp"
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

func main() { log.Fatal(app().Listen("localhost:3000")) }

func app() *fiber.App {
	var clients, count = sync.Map{}, atomic.Int64{} // the open streams, the messages so far
	app := fiber.New()
	app.Get("/handshake", func(c fiber.Ctx) error {
		c.Set("Content-Type", "text/event-stream")
		c.Set("Cache-Control", "no-store, no-transform")
		c.Set("X-Accel-Buffering", "no")
		conn := c.RequestCtx().Conn() // c itself must not be used once we have returned
		return c.SendStreamWriter(func(w *bufio.Writer) {
			ctx, cancel := context.WithCancel(context.Background())
			events := make(chan sse.Event, 16) // how far a client may fall behind
			defer func() { clients.Delete(events); cancel(); log.Print("client left") }()
			clients.Store(events, cancel)
			log.Print("client connected")
			stream(ctx, w, conn, events)
		})
	})
	app.All("/", func(c fiber.Ctx) error {
		data, reached := cmp.Or(string(c.Body()), fmt.Sprint("Hello ", count.Add(1))), 0
		for events, cancel := range clients.Range {
			if c.Method() == fiber.MethodDelete {
				cancel.(context.CancelFunc)()
				continue
			}
			select {
			case events.(chan sse.Event) <- sse.Event{Data: data}:
				reached++
			default: // too far behind
			}
		}
		return c.SendString(fmt.Sprintln("clients reached:", reached))
	})
	return app
}

// stream sends events until ctx is done or the client is gone. fasthttp says so
// only when a write fails, hence the short heartbeat.
func stream(ctx context.Context, w *bufio.Writer, conn net.Conn, events <-chan sse.Event) {
	encoder, beat := sse.NewEncoder(w), time.NewTicker(time.Second)
	defer beat.Stop()
	defer conn.SetWriteDeadline(time.Time{}) // or it would stand for the next request
	err := encoder.Comment("")               // a first byte, which proxies wait for
	for err == nil && w.Flush() == nil {
		conn.SetWriteDeadline(time.Now().Add(time.Second)) // else a stalled client stays
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			err = encoder.Encode(event)
		case <-beat.C:
			err = encoder.Comment("")
		}
	}
}
