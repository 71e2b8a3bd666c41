// Command echo is the server of examples/quickstart, inside echo.
package main

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/sse-go/sse"
)

func main() {
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", handler()))
}

func handler() http.Handler {
	var streams, count = sync.Map{}, atomic.Int64{} // the open streams, the messages so far
	e := echo.New()
	e.GET("/handshake", func(c *echo.Context) error {
		opts := &sse.AcceptOptions{WriteTimeout: time.Second}
		stream, err := sse.Accept(c.Response(), c.Request(), opts)
		if err != nil {
			return nil // Accept has answered: an error here would be a second answer
		}
		defer func() { streams.Delete(stream); stream.Close(); log.Print("client left") }()
		streams.Store(stream, nil)
		log.Print("client connected")
		<-stream.Context().Done() // the client goes, or the stream is closed below
		return nil
	})
	e.Any("/", func(c *echo.Context) error {
		body, _ := io.ReadAll(c.Request().Body)
		data, reached := cmp.Or(string(body), fmt.Sprint("Hello ", count.Add(1))), 0
		for key := range streams.Range {
			if stream := key.(*sse.Stream); c.Request().Method == http.MethodDelete {
				stream.Close()
			} else if stream.Send(sse.Event{Data: data}) == nil {
				reached++
			}
		}
		return c.String(http.StatusOK, fmt.Sprintln("clients reached:", reached))
	})
	return e
}
