package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: x\r\n\r\nok\n"
	for end := range len(answer) {
		if _, _, whole, err := parseAnswer([]byte(answer[:end])); whole || err != nil {
			t.Fatalf("%q: whole %v, %v", answer[:end], whole, err)
		}
	}
	status, body, whole, err := parseAnswer([]byte(answer))
	if status != 200 || string(body) != "ok\n" || !whole || err != nil {
		t.Errorf("%q: %d, %q, %v, %v", answer, status, body, whole, err)
	}
	for _, wrong := range []string{
		answer + "x", "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "x\r\n\r\n",
	} {
		if _, _, _, err := parseAnswer([]byte(wrong)); err == nil {
			t.Errorf("%q: got no error", wrong)
		}
	}
}

// A crowd returns an error if the server loses, repeats or refuses an event.
func TestCrowdFindsFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(n int64) (status int, seq int64)
		want   string // a part of the error; if empty, no error
	}{
		{"correct", func(n int64) (int, int64) { return 201, n }, ""},
		{"refuses", func(n int64) (int, int64) { return 201 + 302*int(n/10), n }, "status 503"},
		{"repeats", func(n int64) (int, int64) { return 201, min(n, 10) }, "was acknowledged after"},
		{"loses", func(n int64) (int, int64) { return 201, n + n/10 }, "were acknowledged, but"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var count atomic.Int64
			server := &http.Server{Handler: http.HandlerFunc(
				func(w http.ResponseWriter, _ *http.Request) {
					status, seq := test.answer(count.Add(1))
					w.WriteHeader(status)
					fmt.Fprintf(w, "%d\n", seq)
				})}
			go func() { _ = server.Serve(listener) }() // until it is closed
			defer server.Close()
			crowd, err := connect(context.Background(), listener.Addr().String(), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer crowd.close()
			request := (&contender{path: "/", body: "x"}).request("x")
			all := answers{statuses: []int{201}, events: 1, number: decimal}
			for range 20 {
				if _, err = crowd.publish(request, &all, 0); err != nil {
					break
				}
			}
			if err == nil {
				err = all.complete()
			}
			if test.want == "" && err != nil ||
				test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}
