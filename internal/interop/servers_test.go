package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// nodeStep is a step of a script in the form that server.mjs reads.
type nodeStep struct {
	Action action `json:"action"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	Data   string `json:"data"`
	Wire   []byte `json:"wire"`  // the event as bytes
	Piece  int    `json:"piece"` // number of bytes in each write; 0 means all in one write
}

// forNode returns the script in the form that server.mjs reads.
func (s script) forNode() []nodeStep {
	steps := make([]nodeStep, 0, len(s))
	for i, step := range s {
		n := nodeStep{
			Action: step.do, ID: step.event.ID, Type: step.event.Type, Data: step.event.Data,
			Wire: foreign(step.event, i),
		}
		if step.do == idOnly {
			n.Wire = []byte("id:" + step.event.ID + "\r\r")
		}
		if len(n.Wire) < 200 {
			n.Piece = i % 5
		}
		steps = append(steps, n)
	}
	return steps
}

// forBetterSSE returns the script without the steps that better-sse cannot send, and
// with other changes. better-sse sends data as JSON, so data must be UTF-8, and line
// ends in it arrive unchanged. It gives an ID to every event, so each event gets one
// here. It writes no space after a colon, so a space at the beginning of a type or
// an ID would be lost.
func forBetterSSE(s script) script {
	var fitted script
	for i, step := range s {
		e := step.event
		if !utf8.ValidString(e.Data) || strings.HasPrefix(e.Type+e.ID, " ") {
			continue
		}
		if step.do == send && e.ID == "" {
			step.event.ID = "id of step " + strconv.Itoa(i)
		}
		step.want = e.Data
		fitted = append(fitted, step)
	}
	return fitted
}

func TestServersOfNode(t *testing.T) {
	node := findNode(t)
	cert := selfSigned(t)
	certFile, keyFile := cert.write(t, t.TempDir())
	logVersion(t, nil, node, "--version")
	for _, server := range []struct {
		name    string
		encoder string
		script  script
		data    func(sse.Event) (string, error)
	}{
		{"node", "none", fullScript(), plainData},
		{"better-sse", "better-sse", forBetterSSE(fullScript()), sse.Decode[string]},
	} {
		for _, protocol := range []struct {
			name, scheme, proto string
			files               []string
		}{
			{"HTTP1", "http", "HTTP/1.1", nil},
			{"HTTP2", "https", "HTTP/2.0", []string{certFile, keyFile}},
		} {
			t.Run(server.name+"/"+protocol.name, func(t *testing.T) {
				args := []string{"testdata/node/server.mjs", server.encoder, server.script.write(t)}
				p := start(t, nil, node, append(args, protocol.files...)...)
				n := &nodeServer{
					url:   protocol.scheme + "://127.0.0.1:" + p.firstLine(t),
					proto: protocol.proto,
					http:  newHTTPClient(t, cert),
				}
				n.check(t, server.script, server.data)
			})
		}
	}
}

func plainData(e sse.Event) (string, error) { return e.Data, nil }

// write writes the script to a file and returns the name of the file.
func (s script) write(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(s.forNode())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "script.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// nodeServer is a running server.mjs.
type nodeServer struct {
	url   string
	proto string
	http  *http.Client
}

// check reads the stream of the server with our client. It compares the received
// events and the requests that the server has received with the results of
// script.play.
func (n *nodeServer) check(t *testing.T, s script, data func(sse.Event) (string, error)) {
	t.Helper()
	got := readWithClient(t, n.url+"/events", n.proto, n.http, func(string) error {
		resp, err := n.http.Post(n.url+"/receipt", "text/plain", nil)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	for i := range got {
		var err error
		if got[i].Data, err = data(sse.Event{Type: got[i].Type, Data: got[i].Data}); err != nil {
			t.Fatal(err)
		}
	}
	want := s.play(sseTraits)
	compare(t, got, want.events)
	if requests := n.requests(t); !slices.Equal(requests, want.requests) {
		t.Errorf("got requests with Last-Event-ID\n%q, want\n%q", requests, want.requests)
	}
}

// requests returns the Last-Event-ID of each request that the server has
// received.
func (n *nodeServer) requests(t *testing.T) []string {
	t.Helper()
	resp, err := n.http.Get(n.url + "/requests")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	if err := json.Unmarshal(body, &ids); err != nil {
		t.Fatal(fmt.Errorf("%q: %w", body, err))
	}
	return ids
}
