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
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sse-go/sse/ssetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sse": main, "sse-child": child, "sse-crowd": crowd})
}

// TestScript runs testdata/script/*.txtar, which read as documentation of the
// command. Beside the commands of package testscript they use
//
//	serve FILE            start a server that answers as FILE says; sets $URL, $PORT
//	await N               wait until N requests have come
//	requests FILE [NAME…] write what was requested, with these headers, to FILE
//	hub [FLAG…]           start sse serve on a free port; sets $HUB, $HUBPORT
//	hubstop               interrupt it, wait, and write what it has said to hub-stderr
//
// A FILE of answers has one after the other; the last one repeats:
//
//	HTTP 200 text/event-stream
//	HEADER Name: value
//	the body, as it is
//	CUT
//
// The media type may be left out; "-" sends none. An answer ends as the last line says: END or
// nothing, cleanly; CUT, as if the network had died; STALL, when the client
// goes.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// With -race, every process would sleep for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":    cmdServe,
			"await":    cmdAwait,
			"requests": cmdRequests,
			"hub":      cmdHub,
			"hubstop":  cmdHubStop,
		},
	})
}

// scripted is a server that answers as a script says, and remembers requests.
type scripted struct {
	*httptest.Server
	script ssetest.Script

	mu      sync.Mutex    // guards the following
	begun   int           // requests that have come
	arrived chan struct{} // closed, and made anew, when begun grows
}

func newScripted(answers []ssetest.Response) *scripted {
	s := &scripted{arrived: make(chan struct{})}
	s.script.Responses = answers
	s.Server = httptest.NewServer(s)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.begun++
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.mu.Unlock()
	r.Header.Set("Host", r.Host) // so that it is remembered with the others
	s.script.ServeHTTP(w, r)
}

// stop ends the server; what it sends is cut.
func (s *scripted) stop() {
	s.CloseClientConnections()
	s.Close()
}

// await blocks until n requests have come.
func (s *scripted) await(n int) {
	for {
		s.mu.Lock()
		begun, arrived := s.begun, s.arrived
		s.mu.Unlock()
		if begun >= n {
			return
		}
		<-arrived
	}
}

// log writes the requests with the headers of these names.
func (s *scripted) log(names []string) string {
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

// parseAnswers reads the form that TestScript describes.
func parseAnswers(text string) ([]ssetest.Response, error) {
	var answers []ssetest.Response
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if word == "HTTP" {
			answer, err := newAnswer(rest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			answers = append(answers, answer)
			continue
		}
		if len(answers) == 0 {
			return nil, fmt.Errorf("%q stands before the first HTTP line", line)
		}
		last := &answers[len(answers)-1]
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
	for i := range answers {
		answers[i].Chunks = []string{strings.Join(answers[i].Chunks, "")}
	}
	return answers, nil
}

// newAnswer reads what follows HTTP: a status, and perhaps a media type.
func newAnswer(text string) (ssetest.Response, error) {
	code, kind, _ := strings.Cut(text, " ")
	status, err := strconv.Atoi(code)
	answer := ssetest.Response{Status: status, Header: http.Header{}}
	switch {
	case kind == "-" || kind == "" && status != http.StatusOK:
		answer.Header["Content-Type"] = nil // none at all
	case kind != "":
		answer.Header.Set("Content-Type", kind)
	}
	return answer, err
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	answers, err := parseAnswers(ts.ReadFile(args[0]))
	ts.Check(err)
	if len(answers) == 0 {
		ts.Fatalf("%s has no answers", args[0])
	}
	server := newScripted(answers)
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

func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	serverOf(ts).await(n)
}

func cmdRequests(ts *testscript.TestScript, _ bool, args []string) {
	log := serverOf(ts).log(args[1:])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(log), 0o600))
}

// servers maps each running script to its server.
var servers sync.Map

func serverOf(ts *testscript.TestScript) *scripted {
	server, ok := servers.Load(ts)
	if !ok {
		ts.Fatalf("no server: serve FILE comes first")
	}
	return server.(*scripted)
}
