package soak_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// netns is a network namespace with one link to this host. A process in it behaves
// as if it were on another host.
type netns struct {
	t          *testing.T
	name, link string
	hostAddr   string // address of this host
	peerAddr   string // address of the namespace
}

// newNetns creates a namespace that is removed when the test ends. It skips the
// test if namespaces are not available. In CI, which installs the ip command,
// it fails the test instead.
func newNetns(t *testing.T) *netns {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if testing.Short() {
		t.Skip("short: this test creates a network namespace")
	}
	if os.Getuid() != 0 {
		missing("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing("network namespaces need the ip command: apt-get install iproute2")
	}
	id := os.Getpid() % 10000
	n := &netns{t: t, name: fmt.Sprintf("sse-test-%d", id), link: fmt.Sprintf("sse%d", id),
		hostAddr: "10.199.77.1", peerAddr: "10.199.77.2"}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		missing("cannot create a network namespace: %s", out)
	}
	t.Cleanup(func() {
		// The removal of the namespace would remove the link too, but only later.
		exec.Command("ip", "link", "del", n.link).Run()
		exec.Command("ip", "netns", "del", n.name).Run()
	})
	n.ip("link", "add", n.link, "type", "veth", "peer", "name", "eth0", "netns", n.name)
	n.ip("addr", "add", n.hostAddr+"/30", "dev", n.link)
	n.ip("link", "set", n.link, "up")
	n.ip("-n", n.name, "addr", "add", n.peerAddr+"/30", "dev", "eth0")
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

// blackHole makes the namespace vanish: packets to it get no reply, neither a reset
// nor an ICMP "unreachable". This host sends them to a fixed MAC address, and the
// namespace drops them because it has no IP address any more.
func (n *netns) blackHole() {
	n.t.Helper()
	_, mac, _ := strings.Cut(n.ip("-n", n.name, "link", "show", "eth0"), "link/ether ")
	mac, _, _ = strings.Cut(mac, " ")
	n.ip("neigh", "replace", n.peerAddr, "lladdr", mac, "dev", n.link, "nud", "permanent")
	n.ip("-n", n.name, "addr", "del", n.peerAddr+"/30", "dev", "eth0")
}

// client starts a client of url in the namespace. It returns a reader of the bytes
// that the client receives.
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
