// Command echo is the server of examples/quickstart, inside echo.
package main

import (
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

var (
	streams sync.Map     // its keys are the open streams
	count   atomic.Int64 // messages so far
)

func main() {
	log.Print("server on localhost:3000")
	err := http.ListenAndServe("localhost:3000", handler())
	log.Fatal(err, "; if another program uses port 3000, stop it, or change 3000 in main.go")
}

func handler() http.Handler {
	e := echo.New()
	e.GET("/handshake", handshake)
	e.Any("/", send)
	return e
}

func handshake(c *echo.Context) error {
	options := &sse.AcceptOptions{WriteTimeout: time.Second}
	stream, err := sse.Accept(c.Response(), c.Request(), options)
	if err != nil {
		return nil // Accept has sent an error response; an error here would send another one
	}
	defer stream.Close()
	streams.Store(stream, true)
	log.Print("client connected")
	<-stream.Context().Done() // the client left, or send closed the stream
	streams.Delete(stream)
	log.Print("client left")
	return nil
}

func send(c *echo.Context) error {
	body, _ := io.ReadAll(c.Request().Body)
	event := sse.Event{Data: string(body)}
	number := count.Add(1)
	if event.Data == "" {
		event.Data = fmt.Sprint("Hello ", number)
	}
	reached := 0
	for key := range streams.Range {
		stream := key.(*sse.Stream)
		if c.Request().Method == http.MethodDelete {
			stream.Close()
		} else if stream.Send(event) == nil {
			reached++
		}
	}
	return c.String(http.StatusOK, fmt.Sprintln("clients reached:", reached))
}
