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

// line is a connection to an interface, in a bubble, that is written to by hand.
type line struct {
	t      *testing.T
	broker *sse.Broker
	net.Conn
	in    *bufio.Reader
	began time.Time
}

func dial(t *testing.T, set ...func(*api.Options)) *line {
	broker := &sse.Broker{}
	a := newAPI(t, broker, set...)
	broker.Select = a.Select
	server := ssetest.NewServer(t, a,
		&ssetest.ServerOptions{Configure: api.Configure})
	conn := server.Dial()
	t.Cleanup(func() { _ = conn.Close() })
	return &line{t, broker, conn, bufio.NewReader(conn), time.Now()}
}

// send writes a head, with LF for CRLF, and what there is of the body.
func (l *line) send(head, body string) {
	l.t.Helper()
	head = strings.ReplaceAll(head+"\nHost: localhost\n\n", "\n", "\r\n")
	if _, err := io.WriteString(l, head+body); err != nil {
		l.t.Fatal(err)
	}
}

// drip writes a text after each step, until that fails or the test ends.
func (l *line) drip(step time.Duration, text string) {
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-time.After(step):
			case <-end:
				return
			}
			if _, err := io.WriteString(l, text); err != nil {
				return
			}
		}
	})
	l.t.Cleanup(func() { close(end); _ = l.Close(); wait.Wait() })
}

// answer reads a response, and checks that it comes when it should.
func (l *line) answer(after time.Duration, status int, texts ...string) {
	l.t.Helper()
	response, err := http.ReadResponse(l.in, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	if got := time.Since(l.began); got != after {
		l.t.Errorf("the answer comes after %v, want %v", got, after)
	}
	if response.StatusCode != status {
		l.t.Errorf("the answer is %d %s, want %d", response.StatusCode, body, status)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			l.t.Errorf("the answer is %q, want %q in it", body, text)
		}
	}
}

// closed checks that the other side hangs up, and says no more.
func (l *line) closed() {
	l.t.Helper()
	if rest, err := io.ReadAll(l.in); err != nil || len(rest) > 0 {
		l.t.Errorf("after the answer comes %q, %v", rest, err)
	}
}

// kept checks what was published.
func (l *line) kept(want ...string) {
	l.t.Helper()
	got := []string{}
	for _, e := range newest(l.t, l.broker, 100) {
		got = append(got, e.Event.Data)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("kept %q, want %q", got, want)
	}
}

// authorized adds a key to a head, but for a login, of which it would be all.
func authorized(head string) string {
	if strings.Contains(head, "login") {
		return head
	}
	return head + "\nAuthorization: Bearer " + secret
}

// A body has a minute, whether it stalls or drips. Nothing of it is published.
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
					l, text := dial(t, withKey), "x"
					if strings.Contains(head, "chunked") {
						text = "1\r\nx\r\n"
					}
					l.send(authorized(head), "")
					if step > 0 {
						l.drip(step, text)
					}
					l.answer(time.Minute, http.StatusRequestTimeout, "has not come within 1m0s")
					l.closed()
					l.kept()
				})
			})
		}
	}
}

// A body that comes within the minute is published, however long that takes, and the
// connection is as good as before.
func TestBodyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := dial(t, func(o *api.Options) { o.Log = slowLog{o.Log} })
		l.send("POST /news HTTP/1.1\nContent-Length: 5", "he")
		time.Sleep(59 * time.Second)
		_, _ = io.WriteString(l, "llo")
		l.answer(59*time.Second+slowness, http.StatusOK, "~")
		time.Sleep(time.Minute) // net/http closes one that is idle for longer than two
		l.began = time.Now()
		l.send("POST /news HTTP/1.1\nContent-Length: 5", "again")
		l.answer(slowness, http.StatusOK, "~")
		l.kept("hello", "again")
	})
}

const slowness = 10 * time.Minute

// slowLog is a log on a disk that hangs for a while.
type slowLog struct{ api.Log }

func (l slowLog) Publish(ctx context.Context, once *api.Once, entries ...sse.Entry) (
	[]sse.Position, bool, error) {
	if err := hang(ctx); err != nil {
		return nil, false, err
	}
	return l.Log.Publish(ctx, once, entries...)
}

func (l slowLog) PublishOne(ctx context.Context, event sse.Event, topics ...string) (
	sse.Position, error) {
	if err := hang(ctx); err != nil {
		return sse.Position{}, err
	}
	return l.Log.PublishOne(ctx, event, topics...)
}

func hang(ctx context.Context) error {
	select {
	case <-time.After(slowness):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lines may be as far apart as they are.
func TestIdleLines(t *testing.T) {
	for _, path := range []string{"/news", "/-/batch?topic=news"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := map[bool]string{true: "5\r\nlate\n\r\n", false: "10\r\n{\"data\":\"late\"}\n\r\n"}[path == "/news"]
				l := dial(t)
				l.send("PUT "+path+" HTTP/1.1\nTransfer-Encoding: chunked", "")
				for range 3 {
					time.Sleep(24 * time.Hour)
					_, _ = io.WriteString(l, text)
				}
				_, _ = io.WriteString(l, "0\r\n\r\n")
				l.answer(72*time.Hour, http.StatusOK, "kept 3")
				l.kept("late", "late", "late")
			})
		})
	}
}

// Who sends line by line is told at once what is wrong with one, and not after the
// next 256 KiB.
func TestLineRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := dial(t)
		l.send("PUT /news HTTP/1.1\nTransfer-Encoding: chunked", "")
		time.Sleep(time.Hour)
		_, _ = io.WriteString(l, "5\r\ngood\n\r\n4\r\nb\rd\n\r\n")
		l.answer(time.Hour, http.StatusBadRequest, "line 2: the data has a CR", "kept before that: 1")
		// What follows is no request, though it looks like one.
		_, _ = io.WriteString(l, "0\r\n\r\nPOST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
		l.closed()
		l.kept("good")
	})
}

// An idle PUT does not hold up the end of the hub, and is told what was kept.
func TestIdleLinesWhenTheHubEnds(t *testing.T) {
	for head, body := range map[string]string{
		"Transfer-Encoding: chunked": "5\r\ngood\n\r\n", "Content-Length: 1000": "good\n",
	} {
		t.Run(head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closing, end := context.WithCancel(t.Context())
				l := dial(t, func(o *api.Options) { o.Closing = closing })
				l.send("PUT /news HTTP/1.1\n"+head, body)
				time.Sleep(time.Hour)
				end()
				l.answer(time.Hour, http.StatusServiceUnavailable, "kept before that: 1")
				l.closed()
				// net/http gives the answer half a second to arrive.
				if took := time.Since(l.began) - time.Hour; took > time.Second {
					t.Errorf("the connection is held for %v", took)
				}
				l.kept("good")
			})
		})
	}
}

// A request that is refused whatever its body says is answered although that never
// comes; and what comes then is no request.
func TestRefusedBeforeTheBody(t *testing.T) {
	const rest = 5 * time.Second
	for _, test := range []struct {
		head   string
		status int
		want   string
	}{
		{"POST //", 400, "a segment is empty"},
		{"POST /-/nothing", 404, "the hub's own"},
		{"PATCH /news", 405, "PATCH"},
		{"POST /news?tpye=x", 400, "unknown"},
		{"POST /-/tickets?topic=a", 400, "takes no body"},
		{"POST /-/logout", 400, "takes no body"},
		{"GET /news", 400, "takes no body"},
		{"HEAD /news", 400, ""},
		{"DELETE /news", 400, "takes no body"},
		{"OPTIONS /news", 400, "takes no body"},
		{"PUT /news?id=1", 400, "id is of one event"},
	} {
		t.Run(test.head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := dial(t)
				l.send(test.head+" HTTP/1.1\nContent-Length: 1000", "half")
				if strings.HasPrefix(test.head, "HEAD") {
					head, err := l.in.ReadString('\n')
					if err != nil || !strings.Contains(head, " 400 ") {
						t.Errorf("the answer is %q, %v", head, err)
					}
					return
				}
				l.answer(rest, test.status, test.want)
				_, _ = io.WriteString(l, "POST /news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
				l.closed()
				l.kept()
			})
		})
	}
}

// A body without end is read as far as an event may be long.
func TestEndlessBodies(t *testing.T) {
	piece := strings.Repeat("x", 1<<10)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
	for _, test := range []struct {
		head   string
		status int
		want   string
	}{
		{"POST /news", 413, "an event has at most"},
		{"PUT /news", 413, "an event has at most"},
		{"PUT /-/batch?topic=news", 413, "an event has at most"},
		{"POST /-/batch?topic=news", 413, "a batch has at most"},
		{"POST /-/login", 413, "a login has at most 4096 bytes"},
		{"POST /a%2Fb", 400, "an escaped slash"},
	} {
		t.Run(test.head, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := dial(t, withKey)
				l.send(authorized(test.head+" HTTP/1.1\nTransfer-Encoding: chunked"), "")
				l.drip(0, chunk)
				l.answer(0, test.status, test.want)
				l.kept()
			})
		})
	}
}
