// Command gin is the server of examples/quickstart, inside gin.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

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
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.GET("/handshake", handshake)
	router.Any("/", send)
	return router
}

func handshake(c *gin.Context) {
	stream, err := sse.Accept(c.Writer, c.Request, &sse.AcceptOptions{WriteTimeout: time.Second})
	if err != nil {
		return // Accept has sent an error response
	}
	defer stream.Close()
	streams.Store(stream, true)
	log.Print("client connected")
	<-stream.Context().Done() // the client left, or send closed the stream
	streams.Delete(stream)
	log.Print("client left")
}

func send(c *gin.Context) {
	body, _ := io.ReadAll(c.Request.Body)
	event := sse.Event{Data: string(body)}
	number := count.Add(1)
	if event.Data == "" {
		event.Data = fmt.Sprint("Hello ", number)
	}
	reached := 0
	for key := range streams.Range {
		stream := key.(*sse.Stream)
		if c.Request.Method == http.MethodDelete {
			stream.Close()
		} else if stream.Send(event) == nil {
			reached++
		}
	}
	c.String(http.StatusOK, "clients reached: %d\n", reached)
}
