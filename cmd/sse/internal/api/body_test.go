package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/ssetest"
)

// client is a connection to an API on a simulated network. Tests write requests
// to it byte by byte.
type client struct {
	t      *testing.T
	api    *api.API
	broker *sse.Broker
	net.Conn
	in    *bufio.Reader
	began time.Time
}

func dial(t *testing.T, set ...func(*api.Options)) *client {
	broker := &sse.Broker{}
	a := newAPI(t, broker, set...)
	broker.Select = a.Select
	server := ssetest.NewServer(t, a,
		&ssetest.ServerOptions{Configure: api.Configure})
	conn := server.Dial()
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, a, broker, conn, bufio.NewReader(conn), time.Now()}
}

// send writes a request: the request line and headers, whose lines are separated by
// LF in head, the header Host, and the first bytes of the body.
func (c *client) send(head, body string) {
	c.t.Helper()
	head = strings.ReplaceAll(head+"\nHost: localhost\n\n", "\n", "\r\n")
	if _, err := io.WriteString(c, head+body); err != nil {
		c.t.Fatal(err)
	}
}

// drip writes text again and again, at intervals of step, until a write fails
// or the test ends.
func (c *client) drip(step time.Duration, text string) {
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-time.After(step):
			case <-end:
				return
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	})
	c.t.Cleanup(func() { close(end); _ = c.Close(); wait.Wait() })
}

// checkAnswer reads a response. It checks that the response came at this time after
// began, that it has this status, and that its body contains the texts.
func (c *client) checkAnswer(after time.Duration, status int, texts ...string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := time.Since(c.began); got != after {
		c.t.Errorf("the response came after %v, want %v", got, after)
	}
	if response.StatusCode != status {
		c.t.Errorf("the response is %d %s, want %d", response.StatusCode, body, status)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			c.t.Errorf("the response is %q, want %q in it", body, text)
		}
	}
}

// checkClosed checks that the API sends nothing more and closes the connection.
func (c *client) checkClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("after the response came %q, %v", rest, err)
	}
}

// checkStored checks the data of the published events.
func (c *client) checkStored(want ...string) {
	c.t.Helper()
	got := []string{}
	for _, e := range newestEntries(c.t, c.broker, 100) {
		got = append(got, e.Event.Data)
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("stored %q, want %q", got, want)
	}
}

// withAuthorization adds the header Authorization to a head. It does not add the
// header to a login, because a login with this header needs no body.
func withAuthorization(head string) string {
	if strings.Contains(head, "login") {
		return head
	}
	return head + "\nAuthorization: Bearer " + secret
}

// A body must arrive within a minute. It makes no difference whether the client
// sends nothing, or one byte from time to time. No part of a late body is published.
func TestSlowBodies(t *testing.T) {
	for _, head := range []string{
		"POST /news HTTP/1.1\nContent-Length: 1000",
		"POST /news HTTP/1.1\nTransfer-Encoding: chunked",
		"POST /-/publish?topic=news HTTP/1.1\nContent-Length: 1000",
		"POST /-/batch?topic=news HTTP/1.1\nContent-Length: 1000",
		"POST /-/login HTTP/1.1\nContent-Length: 1000",
	} {
		for _, step := range []time.Duration{0, time.Second, 59 * time.Second} {
			t.Run(fmt.Sprint(head, " every ", step), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, text := dial(t, withKey), "x"
					if strings.Contains(head, "chunked") {
						text = "1\r\nx\r\n"
					}
					c.send(withAuthorization(head), "")
					if step > 0 {
						c.drip(step, text)
					}
					c.checkAnswer(time.Minute, http.StatusRequestTimeout, "must arrive within 1m0s")
					c.checkClosed()
					c.checkStored()
				})
			})
		}
	}
}

// A body that arrives within a minute is published, even if publishing takes
// longer than the minute. Afterwards the connection can be used for another
// request.
func TestBodyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(o *api.Options) { o.Log = slowLog{o.Log} })
		c.send("POST /news HTTP/1.1\nContent-Length: 5", "he")
		time.Sleep(59 * time.Second)
		_, _ = io.WriteString(c, "llo")
		c.checkAnswer(59*time.Second+logDelay, http.StatusOK, "~")
		time.Sleep(time.Minute) // net/http closes a connection that is idle for two minutes
		c.began = time.Now()
		c.send("POST /news HTTP/1.1\nContent-Length: 5", "again")
		c.checkAnswer(logDelay, http.StatusOK, "~")
		c.checkStored("hello", "again")
	})
}

const logDelay = 10 * time.Minute

// slowLog is a log on a slow disk: each publish takes logDelay.
type slowLog struct{ api.Log }

func (c slowLog) Publish(ctx context.Context, request *api.IdempotentRequest, entries ...sse.Entry) (
	[]sse.Position, bool, error) {
	if err := waitForDisk(ctx); err != nil {
		return nil, false, err
	}
	return c.Log.Publish(ctx, request, entries...)
}

func (c slowLog) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	if err := waitForDisk(ctx); err != nil {
		return sse.Position{}, err
	}
	return c.Log.PublishOne(ctx, event, topics...)
}

func waitForDisk(ctx context.Context) error {
	select {
	case <-time.After(logDelay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A PUT may wait for its next line without limit.
func TestIdleLines(t *testing.T) {
	for _, path := range []string{"/news", "/-/batch?topic=news"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := map[bool]string{true: "5\r\nlate\n\r\n", false: "10\r\n{\"data\":\"late\"}\n\r\n"}[path == "/news"]
				c := dial(t)
				c.send("PUT "+path+" HTTP/1.1\nTransfer-Encoding: chunked", "")
				for range 3 {
					time.Sleep(24 * time.Hour)
					_, _ = io.WriteString(c, text)
				}
				_, _ = io.WriteString(c, "0\r\n\r\n")
				c.checkAnswer(72*time.Hour, http.StatusOK, "kept 3")
				c.checkStored("late", "late", "late")
			})
		})
	}
}

// A client that sends line by line receives the error for an invalid line at once.
// net/http does not first read 256 KiB more of the body.
func TestInvalidLineIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t)
		c.send("PUT /news HTTP/1.1\nTransfer-Encoding: chunked", "")
		time.Sleep(time.Hour)
		_, _ = io.WriteString(c, "5\r\ngood\n\r\n4\r\nb\rd\n\r\n")
		c.checkAnswer(time.Hour, http.StatusBadRequest, "line 2: the data has a CR", "before the error: kept 1")
		// The bytes after the invalid line look like a request, but they are a part of
		// the body and must not be handled as a request.
		_, _ = io.WriteString(c, "0\r\n\r\nPOST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
		c.checkClosed()
		c.checkStored("good")
	})
}

// If a PUT waits for its next line, the shutdown of the hub ends it at once. The
// response contains the number of published lines.
func TestIdleLinesAtShutdown(t *testing.T) {
	for head, body := range map[string]string{
		"Transfer-Encoding: chunked": "5\r\ngood\n\r\n", "Content-Length: 1000": "good\n",
	} {
		t.Run(head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closing, end := context.WithCancel(t.Context())
				c := dial(t, func(o *api.Options) { o.Closing = closing })
				c.send("PUT /news HTTP/1.1\n"+head, body)
				time.Sleep(time.Hour)
				end()
				c.checkAnswer(time.Hour, http.StatusServiceUnavailable, "before the error: kept 1")
				c.checkClosed()
				// net/http gives the client half a second to read the response.
				if after := time.Since(c.began) - time.Hour; after > time.Second {
					t.Errorf("the connection was closed after %v, want at most 1s", after)
				}
				c.checkStored("good")
			})
		})
	}
}

// If a request is refused because of its head, the response is sent even if the rest
// of the body never arrives: the hub waits 5 seconds for it. Bytes that arrive later
// are not handled as a request.
func TestRefusedBeforeTheBody(t *testing.T) {
	const rest = 5 * time.Second
	for _, test := range []struct {
		head   string
		status int
		want   string
	}{
		{"POST //", 400, "a segment is empty"},
		{"POST /-/nothing", 404, "are reserved"},
		{"PATCH /news", 405, "PATCH"},
		{"POST /news?tpye=x", 400, "unknown"},
		{"POST /-/tickets?topic=a", 400, "must have no body"},
		{"POST /-/logout", 400, "must have no body"},
		{"GET /news", 400, "must have no body"},
		{"HEAD /news", 400, ""},
		{"DELETE /news", 400, "must have no body"},
		{"OPTIONS /news", 400, "must have no body"},
		{"PUT /news?id=1", 400, "id must not be set"},
	} {
		t.Run(test.head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t)
				c.send(test.head+" HTTP/1.1\nContent-Length: 1000", "half")
				if strings.HasPrefix(test.head, "HEAD") {
					head, err := c.in.ReadString('\n')
					if err != nil || !strings.Contains(head, " 400 ") {
						t.Errorf("the response is %q, %v", head, err)
					}
					return
				}
				c.checkAnswer(rest, test.status, test.want)
				_, _ = io.WriteString(c, "POST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
				c.checkClosed()
				c.checkStored()
			})
		})
	}
}

// A login without keys, or with a key in its head, does not need its body. It
// succeeds even if the body never arrives.
func TestLoginWithoutItsBody(t *testing.T) {
	for _, test := range []struct {
		name, head, want string
		set              []func(*api.Options)
	}{
		{"no keys", "Content-Length: 1000", "no key is needed", nil},
		{"key in the head", "Content-Length: 1000\nAuthorization: Bearer " + secret, "logged in as k",
			[]func(*api.Options){withKey}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, test.set...)
				c.send("POST /-/login HTTP/1.1\n"+test.head, "half")
				c.checkAnswer(5*time.Second, http.StatusOK, test.want)
				c.checkClosed()
			})
		})
	}
	// The API also waits for the missing rest of a body if the rest is a single byte.
	synctest.Test(t, func(t *testing.T) {
		c := dial(t)
		c.send("POST // HTTP/1.1\nContent-Length: 1", "")
		c.checkAnswer(5*time.Second, http.StatusBadRequest, "a segment is empty")
		c.checkClosed()
	})
}

// An endless body does not prevent the response. The API reads the body only up to a
// size limit, and net/http reads at most 256 KiB more.
func TestEndlessBodies(t *testing.T) {
	piece := strings.Repeat("x", 1<<10)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
	for _, test := range []struct {
		head   string
		status int
		want   string
	}{
		{"POST /news", 413, "an event must have at most"},
		{"PUT /news", 413, "an event must have at most"},
		{"PUT /-/batch?topic=news", 413, "an event must have at most"},
		{"POST /-/batch?topic=news", 413, "a batch must have at most"},
		{"POST /-/login", 413, "a login must have at most 4096 bytes"},
		{"POST /a%2Fb", 400, "an escaped slash"},
	} {
		t.Run(test.head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, withKey)
				c.send(withAuthorization(test.head+" HTTP/1.1\nTransfer-Encoding: chunked"), "")
				c.drip(0, chunk)
				c.checkAnswer(0, test.status, test.want)
				c.checkStored()
			})
		})
	}
}
