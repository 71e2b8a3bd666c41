package leakcheck

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The package is so small that its tests look inside: Check itself is what runs
// them.
func TestMain(m *testing.M) { os.Exit(Check(m)) }

func TestFindsAGoroutineOfThisModule(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-release
	}()
	leaked := wait(0)
	close(release)
	<-ended
	if len(leaked) != 1 {
		t.Fatalf("found %d goroutines, want 1:\n%s", len(leaked), strings.Join(leaked, "\n\n"))
	}
	if !strings.Contains(leaked[0], t.Name()) {
		t.Errorf("the stack does not name who started the goroutine:\n%s", leaked[0])
	}
	if left := wait(time.Minute); left != nil {
		t.Errorf("it is found even though it has ended:\n%s", strings.Join(left, "\n\n"))
	}
}

func TestFindsAServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("no loopback network: %v", err)
	}
	server := &http.Server{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	if leaked := wait(0); len(leaked) == 0 {
		t.Error("a server that runs is not found")
	}
	_ = server.Close()
	<-ended
	if left := wait(time.Minute); left != nil {
		t.Errorf("it is found even though it has ended:\n%s", strings.Join(left, "\n\n"))
	}
}

func TestWaitsForStragglers(t *testing.T) {
	release := make(chan struct{})
	go func() { <-release }()
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if left := wait(time.Minute); left != nil {
		t.Errorf("gave up too early:\n%s", strings.Join(left, "\n\n"))
	}
}
