package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sse-go/sse/ssetest"
)

// scriptServer is a server that sends prepared responses and records requests.
type scriptServer struct {
	*httptest.Server
	script ssetest.Script

	mu       sync.Mutex    // guards the following
	requests int           // number of requests that have arrived
	arrived  chan struct{} // closed and replaced when requests grows
}

func newScriptServer(responses []ssetest.Response) *scriptServer {
	s := &scriptServer{arrived: make(chan struct{})}
	s.script.Responses = responses
	s.Server = httptest.NewServer(s)
	return s
}

func (s *scriptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.mu.Unlock()
	r.Header.Set("Host", r.Host) // so that it is recorded with the other headers
	s.script.ServeHTTP(w, r)
}

// stop stops the server and cuts its responses.
func (s *scriptServer) stop() {
	s.CloseClientConnections()
	s.Close()
}

// await blocks until n requests have arrived.
func (s *scriptServer) await(n int) {
	for {
		s.mu.Lock()
		requests, arrived := s.requests, s.arrived
		s.mu.Unlock()
		if requests >= n {
			return
		}
		<-arrived
	}
}

// formatRequests returns the recorded requests as text, with the headers of
// these names.
func (s *scriptServer) formatRequests(names []string) string {
	var b strings.Builder
	for _, r := range s.script.Requests() {
		fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
		for _, name := range names {
			if value := r.Header.Get(name); value != "" {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
		if body := strings.TrimRight(string(r.Body), "\n"); body != "" {
			fmt.Fprintf(&b, "\n%s\n", body)
		}
	}
	return b.String()
}

// parseResponses parses responses in the format that the comment of TestScript
// describes.
func parseResponses(text string) ([]ssetest.Response, error) {
	var responses []ssetest.Response
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if word == "HTTP" {
			response, err := parseStatusLine(rest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			responses = append(responses, response)
			continue
		}
		if len(responses) == 0 {
			return nil, fmt.Errorf("%q must follow an HTTP line", line)
		}
		last := &responses[len(responses)-1]
		switch word {
		case "HEADER":
			name, value, _ := strings.Cut(rest, ":")
			last.Header.Set(name, strings.TrimSpace(value))
		case "END":
		case "CUT":
			last.Cut = true
		case "STALL":
			last.Stall = true
		default:
			last.Chunks = append(last.Chunks, line)
		}
	}
	for i := range responses {
		responses[i].Chunks = []string{strings.Join(responses[i].Chunks, "")}
	}
	return responses, nil
}

// parseStatusLine parses the text of a line after "HTTP ": a status and an optional
// media type.
func parseStatusLine(text string) (ssetest.Response, error) {
	code, mediaType, _ := strings.Cut(text, " ")
	status, err := strconv.Atoi(code)
	response := ssetest.Response{Status: status, Header: http.Header{}}
	switch {
	case mediaType == "-" || mediaType == "" && status != http.StatusOK:
		response.Header["Content-Type"] = nil // sends no Content-Type
	case mediaType != "":
		response.Header.Set("Content-Type", mediaType)
	}
	return response, err
}

// cmdServe is the script command serve. It starts a server that sends the responses
// in a file.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	responses, err := parseResponses(ts.ReadFile(args[0]))
	ts.Check(err)
	if len(responses) == 0 {
		ts.Fatalf("%s must contain at least one response", args[0])
	}
	server := newScriptServer(responses)
	servers.Store(ts, server)
	ts.Defer(func() {
		servers.Delete(ts)
		server.stop()
	})
	u, err := url.Parse(server.URL)
	ts.Check(err)
	ts.Setenv("URL", server.URL)
	ts.Setenv("PORT", u.Port())
}

// cmdAwait is the script command await. It waits until the server has received a
// number of requests.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	findServer(ts).await(n)
}

// cmdRequests is the script command requests. It writes the requests to a file.
func cmdRequests(ts *testscript.TestScript, _ bool, args []string) {
	text := findServer(ts).formatRequests(args[1:])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// servers maps the *testscript.TestScript of each running script to its
// *scriptServer.
var servers sync.Map

// findServer returns the server of a script.
func findServer(ts *testscript.TestScript) *scriptServer {
	server, ok := servers.Load(ts)
	if !ok {
		ts.Fatalf("the script must start a server with serve FILE before this command")
	}
	return server.(*scriptServer)
}
