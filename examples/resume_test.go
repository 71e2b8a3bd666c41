package examples_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
)

func TestResume(t *testing.T) {
	build := builder(t)
	server, client := build("resume/server"), build("resume/client")
	t.Run("kill", func(t *testing.T) { testKill(t, server, client) })
	t.Run("without a log", func(t *testing.T) { testWithoutLog(t, server, client) })
	t.Run("interrupt", func(t *testing.T) { testInterrupt(t, server, client) })
}

// testKill kills the server several times while events are published. The client
// prints every stored event, once and in order.
func testKill(t *testing.T, serverPath, clientPath string) {
	events := filepath.Join(t.TempDir(), "events.jsonl")
	server, address := startListening(t, serverPath, "-addr=localhost:0", "-log="+events)
	client := start(t, clientPath, "-url=http://"+address+"/events?since=earliest")

	var stored, sent []string
	publish := func() (ok bool) {
		data := fmt.Sprint("event ", len(sent)+1)
		sent = append(sent, data)
		id, err := post(address, "/", data)
		if ok = err == nil && strings.HasSuffix(id, "\n"); ok { // the answer is complete
			stored = append(stored, data)
		}
		return ok
	}
	const kills = 6
	for kill := range kills {
		for range 5 {
			publish()
		}
		if kill%2 == 0 {
			client.waitMessages(len(stored)) // the client is connected and has all events
		}
		var killed sync.WaitGroup
		killed.Go(server.kill)
		for publish() { // until the server is killed
		}
		killed.Wait()
		server, _ = startListening(t, serverPath, "-addr="+address, "-log="+events)
	}
	if !publish() {
		t.Fatal("the last server does not publish an event")
	}
	client.waitOutput(stored[len(stored)-1])
	wantResumed(t, client.output(), sent, stored)
	if n := client.countLog("connected"); n < kills/2 {
		t.Errorf("the client has connected only %d times, want at least one per two kills", n)
	}
	if n := client.countLog("gap"); n > 0 {
		t.Errorf("the client has received %d gaps, want none", n)
	}

	// A later client starts after the last event of an earlier client.
	position := strings.TrimSpace(mustPost(t, address, "/", "the end"))
	mustPost(t, address, "/", "after the end")
	late := start(t, clientPath, "-url=http://"+address+"/events", "-after="+position)
	late.wantMessages("after the end")
}

// wantResumed checks that got has all stored events, once and in the order of sent. An
// event whose publisher received no answer may be in got or not.
func wantResumed(t *testing.T, got, sent, stored []string) {
	t.Helper()
	i := 0
	for _, data := range sent {
		if i < len(got) && got[i] == data {
			i++
		} else if slices.Contains(stored, data) {
			t.Fatalf("the client has not printed the stored event %q in its place: %q", data, got)
		}
	}
	if i < len(got) {
		t.Fatalf("the client has printed %q twice or too early: %q", got[i], got)
	}
}

// testWithoutLog restarts a server whose events are only in memory: the client
// receives a gap.
func testWithoutLog(t *testing.T, serverPath, clientPath string) {
	server, address := startListening(t, serverPath, "-addr=localhost:0", "-log=")
	client := start(t, clientPath, "-url=http://"+address+"/events?since=earliest")
	mustPost(t, address, "/", "before")
	client.wantMessages("before")
	server.kill()
	startListening(t, serverPath, "-addr="+address, "-log=")
	client.waitLog("are lost (epoch)", 1)
	mustPost(t, address, "/", "after")
	client.wantMessages("before", "after")
}

// testInterrupt checks that the server ends without an error after an interrupt.
func testInterrupt(t *testing.T, serverPath, clientPath string) {
	server, address := startListening(t, serverPath,
		"-addr=localhost:0", "-log="+filepath.Join(t.TempDir(), "events.jsonl"))
	client := start(t, clientPath, "-url=http://"+address+"/events")
	server.waitLog("client connected", 1)
	server.interrupt()
	client.waitLog("lost (", 1)
	if runtime.GOOS == "windows" {
		return // interrupt kills the process there
	}
	server.waitLog("client left: "+sse.ErrShutdown.Error(), 1)
	if server.exit != nil {
		t.Errorf("the server has ended with %v", server.exit)
	}
}
