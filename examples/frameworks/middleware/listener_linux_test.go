package middleware_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/soheilhy/cmux"
	"github.com/sse-go/sse"
	"golang.org/x/net/netutil"
)

// proxyHeader is the line that a load balancer sends before the request. It has the
// address of the client.
const proxyHeader = "PROXY TCP4 192.0.2.7 192.0.2.8 40000 80\r\n"

var listeners = []struct {
	name      string
	wrap      func(net.Listener) net.Listener
	header    string // the bytes that are sent before the request
	wait, why string // the expected Subscriber.Wait and Subscriber.Why
}{
	{"none", func(l net.Listener) net.Listener { return l }, "", "parked", ""},
	{"netutil.LimitListener", func(l net.Listener) net.Listener { return netutil.LimitListener(l, 10) },
		"", "held", "the connection is a *netutil.limitListenerConn"},
	{"go-proxyproto", func(l net.Listener) net.Listener { return &proxyproto.Listener{Listener: l} },
		proxyHeader, "held", "the connection is a *proxyproto.Conn"},
	{"both", func(l net.Listener) net.Listener {
		return netutil.LimitListener(&proxyproto.Listener{Listener: l}, 10)
	}, proxyHeader, "held", "the connection is a *netutil.limitListenerConn"},
	{"cmux", func(l net.Listener) net.Listener {
		mux := cmux.New(l)
		matched := mux.Match(cmux.HTTP1())
		go func() { _ = mux.Serve() }() // ends when l is closed
		return matched
	}, "", "held", "the connection is a *cmux.MuxConn"},
}

// A broker with Park set parks no stream whose connection the listener has wrapped,
// and the stream reaches its client through the wrapper.
func TestParkBehindListeners(t *testing.T) {
	for _, test := range listeners {
		t.Run(test.name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			connected := make(chan sse.Subscriber, 1)
			broker := &sse.Broker{Park: true, OnConnect: func(s sse.Subscriber) { connected <- s }}
			server := &http.Server{Handler: broker}
			shutdown := broker.Attach(server)
			served := make(chan error, 1)
			go func() { served <- server.Serve(test.wrap(inner)) }()

			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				conn, err := net.Dial("tcp", inner.Addr().String())
				if err == nil && test.header != "" {
					_, err = fmt.Fprint(conn, test.header)
				}
				return conn, err
			}}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport}).Get("http://" + inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			s := <-connected
			if s.Wait != test.wait || s.Why != test.why {
				t.Errorf("the stream is %s: %q, want %s: %q", s.Wait, s.Why, test.wait, test.why)
			}
			if test.header != "" && s.Remote != "192.0.2.7:40000" {
				t.Errorf("the peer is %s, want the address of the PROXY header", s.Remote)
			}
			if _, err := broker.Publish(t.Context(), sse.Event{Data: "hello"}); err != nil {
				t.Fatal(err)
			}
			received := 0
			for event, err := range sse.NewDecoder(resp.Body, nil).Events() {
				if err != nil {
					t.Fatalf("the stream was cut: %v", err)
				}
				if event.Data == "hello" {
					received++
					broker.Kick(func(sse.Subscriber) bool { return true })
				}
			}
			if received != 1 {
				t.Errorf("the event arrived %d times, want once", received)
			}
			if err := shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			<-served
		})
	}
}
