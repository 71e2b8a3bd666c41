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

// ours are the traits of our client: what HTML 9.2 says. It needs no list of
// types, but like a page it does not see the cursor.
var ours = traits{idOnly: true}

// readOurs reads with our client until the agreed end. It calls confirm for each
// receipt. All responses must be on the protocol.
func readOurs(
	t *testing.T, url, proto string, via *http.Client, confirm func(data string) error,
) []received {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := &sse.Client{
		URL:        url,
		HTTPClient: via,
		Terminal:   func(e sse.Event) bool { return e.Type == done },
		Resend:     true,
		OnState: func(change sse.StateChange) {
			if r := change.Response; r != nil && r.Proto != proto {
				t.Errorf("the response is on %s, want %s", r.Proto, proto)
			}
		},
	}
	var events []received
	for event, err := range client.Events(ctx) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		got := received{Type: event.Type, Data: event.Data, LastEventID: event.ID}
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

// newHTTPClient returns a client that trusts the certificate, and knows no
// connection of an earlier test.
func newHTTPClient(t *testing.T, cert certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   cert.trusted(t),
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestOurs shows that the script is one that a client can follow: ours can, on
// every protocol.
func TestOurs(t *testing.T) {
	notShort(t)
	f := newFarm(t)
	for _, protocol := range []struct {
		name, proto string
		server      *httptest.Server
	}{
		{"HTTP1", "HTTP/1.1", f.plain},
		{"HTTP1 over TLS", "HTTP/1.1", f.tls1},
		{"HTTP2", "HTTP/2.0", f.tls2},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			f.checkOurs(t, protocol.server.URL, protocol.proto, protocol.proto)
		})
	}
}

// checkOurs lets our client read everything from our server, or from what stands
// before it. The server is asked on proto, the client answered on seen.
func (f *farm) checkOurs(t *testing.T, url, proto, seen string) {
	t.Helper()
	r := newRun(everything(), ours)
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
	got := readOurs(t, url+"/run/"+name+"/events", seen, newHTTPClient(t, f.cert), confirm)
	r.check(t, got, proto)
}

// foreign is an event as another server may write it: with any line end, without
// the blank after a colon, with what a client must not heed. The n selects.
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
		line("event", "of an earlier line")
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
