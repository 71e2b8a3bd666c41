#!/usr/bin/env bash
# Go 1.27: closing the body of a response does not close its connection at once.
#
# A client of net/http that wants no more of an event stream closes the body. In Go
# 1.26, this closes the connection of HTTP/1.1. In Go 1.27, Close returns, too, but the
# transport reads on in the background, up to 50 ms or 256 KiB. So a server sees its
# client for longer; events that it writes then count as sent, although nobody
# receives them; and a stream that ends within that time leaves its connection to the
# next request. Tests that count connections after Close see other numbers.
#
# Seen on linux/amd64. The script fails if the output changes.
set -euo pipefail

want='go1.26.8: the connection of the closed stream was closed
go1.27.4: the connection of the closed stream was kept for the next request'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
printf 'module finding\n\ngo 1.26\n' >go.mod
cat >main.go <<'END'
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"sync"
)

// conn reports that the client has closed it.
type conn struct {
	net.Conn
	once   sync.Once
	events chan string
}

func (c *conn) Close() error {
	c.once.Do(func() { c.events <- "closed" })
	return c.Conn.Close()
}

func main() {
	closed := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-closed
		fmt.Fprint(w, "data: nobody receives this\n\n")
	}))
	events := make(chan string, 10)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &conn{Conn: c, events: events}, err
	}}
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		PutIdleConn: func(err error) {
			if err == nil {
				events <- "kept for the next request"
			}
		},
	})
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
	check(err)
	response, err := transport.RoundTrip(request)
	check(err)
	_, err = bufio.NewReader(response.Body).ReadString('\n')
	check(err)
	check(response.Body.Close())
	close(closed) // from here on, the server writes the rest, and ends the stream
	fmt.Printf("%s: the connection of the closed stream was %s\n", runtime.Version(), <-events)
	transport.CloseIdleConnections()
	server.Close()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
END
got=$(for version in go1.26.8 go1.27.4; do GOTOOLCHAIN=$version go run .; done)
echo "$got"
[ "$got" = "$want" ]
