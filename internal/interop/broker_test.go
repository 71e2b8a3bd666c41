package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// brokerVariable is an environment variable. If it is set, the test binary runs a
// server with a broker instead of the tests. Its value is the file of the event log.
const brokerVariable = "SSE_INTEROP_BROKER"

// parkVariable is an environment variable. If it is set, this broker parks streams:
// they wait without a goroutine.
const parkVariable = "SSE_INTEROP_PARK"

// serveBroker prints the address of the server, and serves until the process is
// killed or standard input ends. Standard input is a pipe from the process of the
// tests, so it ends when that process ends.
func serveBroker(path string) {
	if err := runBroker(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

func runBroker(path string) error {
	log, err := reflog.Open(path, nil)
	if err != nil {
		return err
	}
	broker := &sse.Broker{
		Log:       log,
		Retention: sse.Retention{Events: 32}, // small, so that many events are read from the log
		Streams:   sse.StreamOptions{Heartbeat: 50 * time.Millisecond, Retry: 50 * time.Millisecond},
		Park:      os.Getenv(parkVariable) != "",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		broker.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		event := sse.Event{ID: r.FormValue("id"), Type: r.FormValue("type"), Data: r.FormValue("data")}
		position, err := broker.Publish(r.Context(), event, r.Form["topic"]...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, position)
	})
	server := &http.Server{Handler: mux, ConnContext: sse.ConnContext}
	server.SetKeepAlivesEnabled(false) // type cable requires one connection for each request
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	return server.Serve(listener)
}

// brokerProcess is a process that runs serveBroker.
type brokerProcess struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	address string
}

// startBroker starts a server with a broker whose log is in the file path, and waits
// until it listens. The process is killed when the test ends.
func startBroker(t *testing.T, path string, park bool) *brokerProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), brokerVariable+"="+path)
	if park {
		cmd.Env = append(cmd.Env, parkVariable+"=1")
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &brokerProcess{cmd: cmd, stdin: stdin}
	t.Cleanup(b.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's server did not start: %v", err)
	}
	b.address = strings.TrimSpace(line)
	return b
}

// kill kills the process with SIGKILL and waits for its end. A second call does
// nothing.
func (b *brokerProcess) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	_ = b.stdin.Close()
}

// publish publishes an event and returns its position. If publish returns an error,
// the event may have been published or not.
func (b *brokerProcess) publish(ctx context.Context, client *http.Client, event sse.Event,
	topics ...string) (sse.Position, error) {
	form := url.Values{"id": {event.ID}, "type": {event.Type}, "data": {event.Data}, "topic": topics}
	url := "http://" + b.address + "/publish?" + form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return sse.Position{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return sse.Position{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return sse.Position{}, err
	}
	return sse.ParsePosition(strings.TrimSuffix(string(text), "\n"))
}
