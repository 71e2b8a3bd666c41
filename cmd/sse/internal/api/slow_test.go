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

// A head has 10 seconds, also if it comes byte by byte, and a connection that is not
// used goes.
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
					t.Errorf("the connection ends with %v", err)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("the connection is closed after %v, want %v", took, test.want)
				}
			})
		})
	}
}

// A stream that is held in its handler outlives what bounds other requests.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := dial(t)
		l.send("GET /news HTTP/1.1", "")
		time.Sleep(time.Hour)
		if _, err := l.broker.Publish(t.Context(), sse.Event{Data: "late"}, "news"); err != nil {
			t.Fatal(err)
		}
		for range 1000 { // heartbeats, too
			text, err := l.in.ReadString('\n')
			if err != nil {
				t.Fatal("the stream has ended: ", err)
			}
			if text == "data: late\n" {
				return
			}
		}
		t.Error("the event has not come")
	})
}

// A page of history that nobody reads does not hold its handler for good; one that is
// read slowly comes whole, and the connection can be used for a stream.
func TestSlowPage(t *testing.T) {
	publish := func(t *testing.T, l *line) {
		t.Helper()
		event := sse.Event{Data: strings.Repeat("x", 4000)}
		for range 500 {
			if _, err := l.broker.Publish(t.Context(), event, "news"); err != nil {
				t.Fatal(err)
			}
		}
		l.send("GET /news?follow=0 HTTP/1.1", "")
	}
	t.Run("stalls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := dial(t)
			publish(t, l)
			time.Sleep(31 * time.Second)
			rest, err := io.ReadAll(l.in)
			if err != nil || len(rest) < 1000 || len(rest) > 500*4000 {
				t.Errorf("%d bytes came, and %v; want that the connection was closed", len(rest), err)
			}
			if took := time.Since(l.began); took != 31*time.Second {
				t.Errorf("the end came after %v", took)
			}
		})
	})
	t.Run("drips", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := dial(t)
			publish(t, l)
			for range 2 {
				resp, err := http.ReadResponse(l.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				n, buf := 0, make([]byte, 32<<10)
				for err == nil {
					time.Sleep(10 * time.Second)
					var some int
					some, err = io.ReadFull(resp.Body, buf)
					n += some
				}
				if int64(n) != resp.ContentLength || n < 500*4000 {
					t.Errorf("%d bytes came of %d, %v", n, resp.ContentLength, err)
				}
				l.send("GET /news?follow=0 HTTP/1.1", "")
			}
		})
	})
}
