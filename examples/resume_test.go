package examples_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestResume(t *testing.T) {
	build := builder(t)
	server, client := build("resume/server"), build("resume/client")
	t.Run("killed", func(t *testing.T) { testKilled(t, server, client) })
	t.Run("without a log", func(t *testing.T) { testWithoutLog(t, server, client) })
	t.Run("interrupted", func(t *testing.T) { testInterrupted(t, server, client) })
}

// testKilled kills the server again and again, while events are being published.
// The client prints every event that was kept, once and in order.
func testKilled(t *testing.T, serverPath, clientPath string) {
	events := filepath.Join(t.TempDir(), "events.jsonl")
	server, address := startListening(t, serverPath, "-addr=localhost:0", "-log="+events)
	client := start(t, clientPath, "-url=http://"+address+"/events?since=earliest")

	var kept, sent []string
	publish := func() (ok bool) {
		data := fmt.Sprint("event ", len(sent)+1)
		sent = append(sent, data)
		id, err := post(address, "/", data)
		if ok = err == nil && strings.HasSuffix(id, "\n"); ok { // the whole answer
			kept = append(kept, data)
		}
		return ok
	}
	const kills = 6
	for kill := range kills {
		for range 5 {
			publish()
		}
		if kill%2 == 0 {
			client.waitMessages(len(kept)) // it is there, and has everything
		}
		var killed sync.WaitGroup
		killed.Go(func() { server.kill() })
		for publish() { // until the server is gone
		}
		killed.Wait()
		server, _ = startListening(t, serverPath, "-addr="+address, "-log="+events)
	}
	if !publish() {
		t.Fatal("the last server does not publish")
	}
	client.waitOutput(kept[len(kept)-1])
	wantResumed(t, client.output(), sent, kept)
	if n := client.countLog("connected"); n < kills/2 {
		t.Errorf("the client has connected %d times: nothing was resumed", n)
	}
	if n := client.countLog("gap"); n > 0 {
		t.Errorf("the client was told of %d gaps, want none", n)
	}

	// A client of a later day begins where an earlier one has ended.
	position := strings.TrimSpace(mustPost(t, address, "/", "the end"))
	mustPost(t, address, "/", "after the end")
	late := start(t, clientPath, "-url=http://"+address+"/events", "-after="+position)
	late.wantMessages("after the end")
}

// wantResumed wants all that was kept. What was sent to a server that did not
// answer may have been kept or not.
func wantResumed(t *testing.T, got, sent, kept []string) {
	t.Helper()
	i := 0
	for _, data := range sent {
		if i < len(got) && got[i] == data {
			i++
		} else if slices.Contains(kept, data) {
			t.Fatalf("the client has not printed %q in its place, which was kept: %q", data, got)
		}
	}
	if i < len(got) {
		t.Fatalf("the client has printed %q again, or too early: %q", got[i], got)
	}
}

// testWithoutLog shows what a restart does to events that are only in memory.
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

// testInterrupted shows that the server ends well when it is asked to.
func testInterrupted(t *testing.T, serverPath, clientPath string) {
	server, address := startListening(t, serverPath,
		"-addr=localhost:0", "-log="+filepath.Join(t.TempDir(), "events.jsonl"))
	client := start(t, clientPath, "-url=http://"+address+"/events")
	server.waitLog("client connected", 1)
	server.interrupt()
	client.waitLog("lost (", 1)
	if runtime.GOOS == "windows" {
		return // where it was killed
	}
	server.waitLog("client left: sse: server shutting down", 1)
	if server.exit != nil {
		t.Errorf("the server has ended with %v", server.exit)
	}
}
