// Command gin is the server of examples/quickstart, inside gin.
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

	"github.com/gin-gonic/gin"

	"github.com/sse-go/sse"
)

func main() {
	log.Print("server on localhost:3000")
	log.Fatal(http.ListenAndServe("localhost:3000", handler()))
}

func handler() http.Handler {
	var streams, count = sync.Map{}, atomic.Int64{} // the open streams, the messages so far
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.GET("/handshake", func(c *gin.Context) {
		stream, err := sse.Accept(c.Writer, c.Request, &sse.AcceptOptions{WriteTimeout: time.Second})
		if err != nil {
			return // Accept has answered
		}
		defer func() { streams.Delete(stream); stream.Close(); log.Print("client left") }()
		streams.Store(stream, nil)
		log.Print("client connected")
		<-stream.Context().Done() // the client goes, or the stream is closed below
	})
	router.Any("/", func(c *gin.Context) {
		body, _ := io.ReadAll(c.Request.Body)
		data, reached := cmp.Or(string(body), fmt.Sprint("Hello ", count.Add(1))), 0
		for key := range streams.Range {
			if stream := key.(*sse.Stream); c.Request.Method == http.MethodDelete {
				stream.Close()
			} else if stream.Send(sse.Event{Data: data}) == nil {
				reached++
			}
		}
		c.String(http.StatusOK, "clients reached: %d\n", reached)
	})
	return router
}
