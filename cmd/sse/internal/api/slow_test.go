package api_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/ssetest"
)

// The connection is closed if the head of a request does not arrive within 10 seconds,
// even if it arrives byte by byte. An idle connection is closed after 2 minutes.
func TestSlowHeads(t *testing.T) {
	const head = "GET /-/healthz HTTP/1.1\r\nHost: localhost\r\nX: xxxxxxxxxxxxxxxxxxxxxxxx"
	for _, test := range []struct {
		name string
		sent string
		drip bool
		want time.Duration
	}{
		{"nothing", "", false, 10 * time.Second},
		{"stalls", head, false, 10 * time.Second},
		{"drips", head, true, 10 * time.Second},
		{"idle", head + "\r\n\r\n", false, 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := ssetest.NewServer(t, http.NotFoundHandler(), &ssetest.ServerOptions{
					Configure: api.Configure,
				})
				conn := server.Dial()
				began := time.Now()
				var wait sync.WaitGroup
				defer wait.Wait()
				defer func() { _ = conn.Close() }()
				wait.Go(func() {
					for _, b := range []byte(test.sent) {
						if test.drip {
							time.Sleep(time.Second)
						}
						if _, err := conn.Write([]byte{b}); err != nil {
							return
						}
					}
				})
				if _, err := io.ReadAll(conn); err != nil {
					t.Errorf("reading the connection: %v", err)
				}
				if after := time.Since(began); after != test.want {
					t.Errorf("the connection was closed after %v, want %v", after, test.want)
				}
			})
		})
	}
}

// The time limits of requests do not end a stream.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t)
		c.send("GET /news HTTP/1.1", "")
		time.Sleep(time.Hour)
		if _, err := c.broker.Publish(t.Context(), sse.Event{Data: "late"}, "news"); err != nil {
			t.Fatal(err)
		}
		for range 1000 { // there are heartbeats before the event
			text, err := c.in.ReadString('\n')
			if err != nil {
				t.Fatal("the stream ended: ", err)
			}
			if text == "data: late\n" {
				return
			}
		}
		t.Error("the stream does not have the event")
	})
}

// If a client does not read a page of history, the hub closes the connection.
// If a client reads the page slowly, it receives the whole page, and can use
// the connection for another request.
func TestSlowPage(t *testing.T) {
	publish := func(t *testing.T, c *client) {
		t.Helper()
		event := sse.Event{Data: strings.Repeat("x", 4000)}
		for range 500 {
			if _, err := c.broker.Publish(t.Context(), event, "news"); err != nil {
				t.Fatal(err)
			}
		}
		c.send("GET /news?follow=0 HTTP/1.1", "")
	}
	// A client may take 30 seconds for each 64 KiB of the page.
	for stall, whole := range map[time.Duration]bool{30*time.Second - 1: true, 30*time.Second + 1: false} {
		t.Run("stalls for "+stall.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t)
				publish(t, c)
				time.Sleep(stall)
				response, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, response.Body); (err == nil) != whole {
					t.Errorf("read %d bytes and the error %v, want the whole page: %t", n, err, whole)
				}
			})
		})
	}
	// The first client takes too long for each chunk of 64 KiB. The second reads each
	// chunk in time, but takes too long for the page of 2 MB: it may take 1 minute, and
	// 1 second for each 32 KiB.
	for _, test := range []struct {
		name  string
		pause time.Duration // before each 32 KiB
		most  int           // bytes that the client receives, at most
		limit time.Duration // until the connection is closed, at most
	}{
		{"drips too slowly", 20 * time.Second, 500 * 4000 / 2, 10 * time.Minute},
		{"drips for too long", 5 * time.Second, 500*4000 - 1, 3 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t)
				publish(t, c)
				response, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for err == nil {
					time.Sleep(test.pause)
					var read int
					read, err = io.ReadFull(response.Body, make([]byte, 32<<10))
					n += read
				}
				if took := time.Since(c.began); n > test.most || took > test.limit {
					t.Errorf("read %d bytes in %v, want at most %d in %v, because the hub closes the connection",
						n, took, test.most, test.limit)
				}
			})
		})
	}
	t.Run("stalls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t)
			publish(t, c)
			time.Sleep(31 * time.Second)
			rest, err := io.ReadAll(c.in)
			if err != nil || len(rest) < 1000 || len(rest) > 500*4000 {
				t.Errorf("read %d bytes and the error %v, want a part of the page", len(rest), err)
			}
			if after := time.Since(c.began); after != 31*time.Second {
				t.Errorf("the connection was closed after %v, want 31s", after)
			}
		})
	})
	t.Run("drips", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t)
			publish(t, c)
			for range 2 {
				resp, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				n, buf := 0, make([]byte, 32<<10)
				for err == nil {
					time.Sleep(time.Second)
					var read int
					read, err = io.ReadFull(resp.Body, buf)
					n += read
				}
				if int64(n) != resp.ContentLength || n < 500*4000 {
					t.Errorf("read %d of %d bytes, %v", n, resp.ContentLength, err)
				}
				c.send("GET /news?follow=0 HTTP/1.1", "")
			}
		})
	})
}
