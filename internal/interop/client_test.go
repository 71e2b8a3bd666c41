package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// sseTraits are the traits of our client, which follows HTML 9.2. Like a page, it
// does not report cursors: events of the type sse.cursor, which only carry an ID.
var sseTraits = traits{idOnly: true}

// readWithClient reads a stream with our client until it receives an event of the
// type done, and returns the events. It calls confirm for each event of the type
// receipt. All responses must have the protocol proto.
func readWithClient(
	t *testing.T, url, proto string, via *http.Client, confirm func(data string) error,
) []received {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := &sse.Client{
		URL:        url,
		HTTPClient: via,
		Terminal:   func(e sse.Event) bool { return e.Type == done },
		Resend:     func(bool) bool { return true },
		OnState: func(change sse.StateChange) {
			if r := change.Response; r != nil && r.Proto != proto {
				t.Errorf("got a response with %s, want %s", r.Proto, proto)
			}
		},
	}
	var events []received
	for event, err := range client.Events(ctx) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		got := received{Type: event.Type, Data: event.Data, LastEventID: event.LastEventID}
		if got.Type == "" {
			got.Type = "message"
		}
		events = append(events, got)
		if event.Type == receipt {
			if err := confirm(event.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	return events
}

// newHTTPClient returns an HTTP client that trusts the certificate. It has a
// transport of its own, so that it reuses no connection of an earlier test.
func newHTTPClient(t *testing.T, cert certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   cert.trusted(t),
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestClient reads the full script with our client on every protocol. If it passes
// and another client fails, the script is not the reason.
func TestClient(t *testing.T) {
	skipIfShort(t)
	f := newRunServers(t)
	for _, protocol := range []struct {
		name, proto string
		server      *httptest.Server
	}{
		{"HTTP1", "HTTP/1.1", f.plain},
		{"HTTP1 over TLS", "HTTP/1.1", f.tls1},
		{"HTTP2", "HTTP/2.0", f.tls2},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			f.checkClient(t, protocol.server.URL, protocol.proto, protocol.proto)
		})
	}
}

// checkClient reads the full script with our client, directly or through a proxy.
// The server must receive requests with the protocol proto. The client must receive
// responses with the protocol seen.
func (f *runServers) checkClient(t *testing.T, url, proto, seen string) {
	t.Helper()
	r := newRun(fullScript(), sseTraits)
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	f.add(name, r)
	confirm := func(data string) error {
		select {
		case r.receipts <- data:
			return nil
		case failure := <-r.failure:
			return errors.New(failure)
		}
	}
	got := readWithClient(t, url+"/run/"+name+"/events", seen, newHTTPClient(t, f.cert), confirm)
	r.check(t, got, proto)
}

// foreign encodes an event as another server may encode it: with other line ends,
// without the space after a colon, or with lines that a client must ignore. The
// number n selects a combination of these variants.
func foreign(event sse.Event, n int) []byte {
	eol := []string{"\n", "\r\n", "\r"}[n%3]
	var b bytes.Buffer
	line := func(name, value string) {
		switch {
		case value == "" && n%2 == 0:
			fmt.Fprint(&b, name, eol)
		case !strings.HasPrefix(value, " ") && n%4 < 2:
			fmt.Fprint(&b, name, ":", value, eol)
		default:
			fmt.Fprint(&b, name, ": ", value, eol)
		}
	}
	if n%5 == 0 {
		b.WriteString(":" + eol + "Data: x" + eol + "datax: y" + eol + "id : z" + eol)
		b.WriteString("retry: 1e3" + eol + "retry:-1" + eol + "retry" + eol + "id: \x00" + eol)
	}
	if event.Type != "" {
		line("event", "overridden by the next line")
		line("event", event.Type)
	}
	data := strings.Split(lineEnds.Replace(event.Data), "\n")
	line("data", data[0])
	if event.ID != "" {
		line("id", event.ID)
	}
	for _, text := range data[1:] {
		line("data", text)
	}
	b.WriteString(eol)
	return b.Bytes()
}
