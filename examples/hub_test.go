package examples_test

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHub runs the clients of minimal and quickstart with "sse serve" as the server. Both
// clients must receive messages. The client of quickstart must also receive the messages
// that were published while it was not connected.
func TestHub(t *testing.T) {
	needPort(t)
	hub := filepath.Join(t.TempDir(), "sse.exe")
	if output, err := exec.Command("go", "build", "-o", hub, "../cmd/sse").CombinedOutput(); err != nil {
		skipWithoutWorkspace(t, output)
		t.Fatalf("go build ../cmd/sse: %v\n%s", err, output)
	}
	build := builder(t)
	for _, name := range []string{"quickstart", "minimal"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSE_SERVE_DATA", t.TempDir())
			testHub(t, hub, build(name+"/client"), name == "quickstart")
		})
	}
}

// skipWithoutWorkspace skips the test if the output of a failed build shows that there
// is no go.work.
func skipWithoutWorkspace(t *testing.T, output []byte) {
	t.Helper()
	if strings.Contains(string(output), "main module") {
		t.Skip("cmd/sse is another module, so this test needs go.work")
	}
}

func testHub(t *testing.T, hub, path string, resumes bool) {
	client := start(t, path)
	client.waitLog(trying, 1)
	serve := func() *program {
		t.Helper()
		server := start(t, hub, "serve")
		server.waitLog("http://"+address, 1)
		return server
	}
	server := serve()
	client.waitLog(waiting, 1)
	publish(t, "hello")
	client.wantMessages("hello")
	server.interrupt()
	client.waitLog(ended, 1)
	server = serve()
	if !resumes {
		client.waitLog(waiting, 2)
	}
	publish(t, "hello again")
	// If resumes is true, the client may still have been disconnected when the event was
	// published. It must then receive the event after it has reconnected.
	client.wantMessages("hello", "hello again")
	server.interrupt()
}

// publish sends the request of `curl -d data localhost:3000/handshake`.
func publish(t *testing.T, data string) {
	t.Helper()
	response, err := http.Post("http://"+address+"/handshake", "", strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the hub answered %d %q, %v", response.StatusCode, text, err)
	}
}
