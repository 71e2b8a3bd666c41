package sse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// blackHoleURL tells TestBlackHole, run again in another network namespace, to
// be the client.
const blackHoleURL = "SSE_TEST_BLACKHOLE_URL"

// netns is a host of the test's own: a network namespace with one link to ours.
type netns struct {
	t          *testing.T
	name, link string
	ours, its  string // addresses
}

// newNetns skips the test where namespaces cannot be made, but not in CI, which
// installs what it takes.
func newNetns(t *testing.T) *netns {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if testing.Short() {
		t.Skip("short: it makes a network namespace")
	}
	if os.Getuid() != 0 {
		missing("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing("network namespaces need the ip command: apt-get install iproute2")
	}
	id := os.Getpid() % 10000
	n := &netns{t: t, name: fmt.Sprintf("sse-test-%d", id), link: fmt.Sprintf("sse%d", id),
		ours: "10.199.77.1", its: "10.199.77.2"}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		missing("network namespaces do not work here: %s", out)
	}
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", n.link).Run() // it goes with the namespace, but later
		exec.Command("ip", "netns", "del", n.name).Run()
	})
	n.ip("link", "add", n.link, "type", "veth", "peer", "name", "eth0", "netns", n.name)
	n.ip("addr", "add", n.ours+"/30", "dev", n.link)
	n.ip("link", "set", n.link, "up")
	n.ip("-n", n.name, "addr", "add", n.its+"/30", "dev", "eth0")
	n.ip("-n", n.name, "link", "set", "eth0", "up")
	return n
}

func (n *netns) ip(args ...string) string {
	n.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// blackHole makes the host vanish without a trace: packets go to it and nothing
// comes back, no reset and no unreachable.
func (n *netns) blackHole() {
	n.t.Helper()
	_, mac, _ := strings.Cut(n.ip("-n", n.name, "link", "show", "eth0"), "link/ether ")
	mac, _, _ = strings.Cut(mac, " ")
	n.ip("neigh", "replace", n.its, "lladdr", mac, "dev", n.link, "nud", "permanent")
	n.ip("-n", n.name, "addr", "del", n.its+"/30", "dev", "eth0")
}

// client runs a client of url there, and returns the lines of what it reads.
func (n *netns) client(url string) *bufio.Reader {
	n.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.name, os.Args[0], "-test.run=^TestBlackHole$")
	cmd.Env = append(os.Environ(), blackHoleURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return bufio.NewReader(out)
}

// FIELD "Server": a black-holed peer still looked healthy after 40 s with a 5 s
// write deadline; TCP_USER_TIMEOUT finds it.
func TestBlackHole(t *testing.T) {
	if url := os.Getenv(blackHoleURL); url != "" {
		resp, err := http.Get(url)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		io.Copy(os.Stdout, resp.Body)
		os.Exit(0)
	}
	n := newNetns(t)
	ended := make(chan error, 1)
	server := &http.Server{
		ConnContext: sse.ConnContext,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stream, err := sse.Accept(w, r, &sse.AcceptOptions{
				Heartbeat:    time.Second,
				WriteTimeout: 2 * time.Second,
			})
			if err != nil {
				ended <- err
				return
			}
			defer stream.Close()
			<-stream.Context().Done()
			ended <- context.Cause(stream.Context())
		}),
	}
	listener, err := net.Listen("tcp", n.ours+":0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()

	lines := n.client("http://" + listener.Addr().String())
	for range 4 { // the first byte and three heartbeats: longer than WriteTimeout
		if line, err := lines.ReadString('\n'); line != ":\n" || err != nil {
			t.Fatalf("the client read %q, %v", line, err)
		}
	}
	select {
	case cause := <-ended:
		t.Fatalf("a healthy stream ended: %v", cause)
	default:
	}
	n.blackHole()
	select {
	case cause := <-ended:
		if !errors.Is(cause, sse.ErrPeerGone) {
			t.Errorf("the stream ended with %v, want ErrPeerGone", cause)
		}
	case <-time.After(2 * time.Minute): // TCP itself would take 15
		t.Error("the black hole was not found")
	}
}
