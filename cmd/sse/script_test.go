package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sse":             main,
		"sse-child":       runChild,
		"sse-subscribers": runSubscribers,
	})
}

// TestScript runs the scripts testdata/script/*.txtar, which also document the
// command. In addition to the commands of package testscript, a script may use
//
//	serve FILE            start a server that sends the responses in FILE; set $URL, $PORT
//	await N               wait until N requests have arrived
//	requests FILE [NAME…] write the requests, with the headers NAME…, to FILE
//	hub [FLAG…]           start sse serve on a free port; set $HUB, $HUBPORT
//	hubstop               interrupt the hub, wait for its exit, write its stderr to hub-stderr
//
// The FILE of serve contains one or more responses, such as:
//
//	HTTP 200 text/event-stream
//	HEADER Name: value
//	the body, unchanged
//	CUT
//
// The server sends one response for each request, and repeats the last response.
// Without a media type, a response with status 200 is an event stream, and any
// other response has no Content-Type. With "-" as the media type, no response has a
// Content-Type. The last line of a response determines how the response ends:
//
//   - END: cleanly. The response also ends cleanly if it has none of these lines.
//   - CUT: as if the network had failed.
//   - STALL: only when the client disconnects.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// With -race, every process would otherwise sleep for a second
			// before it exits.
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
