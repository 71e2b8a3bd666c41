package leakcheck

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The tests are in the package itself, because they call wait.
func TestMain(m *testing.M) { os.Exit(Check(m)) }

func TestFindsGoroutineOfThisModule(t *testing.T) {
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
		t.Errorf("got a stack without the function that started the goroutine:\n%s", leaked[0])
	}
	if rest := wait(time.Minute); rest != nil {
		t.Errorf("got stacks of goroutines that have ended:\n%s", strings.Join(rest, "\n\n"))
	}
}

func TestFindsServer(t *testing.T) {
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
		t.Error("got no stack while a server is running")
	}
	_ = server.Close()
	<-ended
	if rest := wait(time.Minute); rest != nil {
		t.Errorf("got stacks of goroutines that have ended:\n%s", strings.Join(rest, "\n\n"))
	}
}

func TestWaitsForGoroutines(t *testing.T) {
	release := make(chan struct{})
	go func() { <-release }()
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if rest := wait(time.Minute); rest != nil {
		t.Errorf("wait returned before the goroutine ended:\n%s", strings.Join(rest, "\n\n"))
	}
}
