//go:build unix

package hub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// BenchmarkPublish measures the cost of publishing an event by POST, in comparison
// with a POST to a handler that does nothing. Client and server run in this process,
// and cpu-ns/op is the CPU time of both. The client writes raw bytes, so that the cost
// of the client is small, and is the same in all cases.
func BenchmarkPublish(b *testing.B) {
	b.Run("empty handler", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = server.Serve(l) }()
		b.Cleanup(func() { _ = server.Close() })
		post(b, l.Addr().String(), "/news", strings.Repeat("x", 100), 1)
	})
	b.Run("memory", func(b *testing.B) {
		h := hubtest.Start(b, hub.Config{})
		post(b, h.Addr, "/news", strings.Repeat("x", 100), 1)
	})
	b.Run("memory, batches of 100", func(b *testing.B) {
		h := hubtest.Start(b, hub.Config{})
		line := fmt.Sprintf("{\"data\":%q}\n", strings.Repeat("x", 100))
		post(b, h.Addr, "/-/batch?topic=news", strings.Repeat(line, 100), 100)
	})
	b.Run("disk", func(b *testing.B) {
		h := hubtest.Start(b, hub.Config{Data: b.TempDir()})
		post(b, h.Addr, "/news", strings.Repeat("x", 100), 1)
	})
}

// post sends the same request of n events again and again, until it has sent b.N
// events.
func post(b *testing.B, addr, path, body string, n int) {
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
	b.ReportAllocs()
	before := processTime()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for sent := 0; pb.Next(); sent++ {
			if sent%n != 0 {
				continue
			}
			if _, err := io.WriteString(conn, request); err != nil {
				b.Error(err)
				return
			}
			if err := skipResponse(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
}

// skipResponse reads a response, and ignores its content. It returns an error unless
// the status is 200.
func skipResponse(in *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return fmt.Errorf("the response is %s", line)
		case len(line) == 2:
			_, err := in.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			for _, digit := range bytes.TrimSpace(value) {
				length = 10*length + int(digit-'0')
			}
		}
	}
}

// processTime returns the CPU time that this process has used, in nanoseconds.
func processTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
