// Package leakcheck fails a test binary that leaves goroutines behind.
//
//	func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }
package leakcheck

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long goroutines may take to end after the last test. Those
	// of net/http end on their own some time after what they serve is closed.
	patience = 5 * time.Second

	// interval is how long to wait between two looks.
	interval = 5 * time.Millisecond
)

// ours are the functions whose presence on a stack, or as the creator of a
// goroutine, makes it one that a test has to end: all of this repository's, and
// those that serve or carry HTTP.
var ours = []string{
	"github.com/sse-go/sse",
	"net/http.(*Server)",
	"net/http.(*conn)",
	"net/http.(*connReader)",
	"net/http.(*http2",
	"net/http.(*persistConn)",
	"net/http.(*Transport)",
}

// Check runs the tests of m and returns the code to exit with. If the tests pass
// but goroutines of this module, of an HTTP server or of an HTTP transport do
// not end within 5 seconds, it prints their stacks to the standard error and
// returns 1. Idle connections of [http.DefaultClient] do not count.
func Check(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code // a test that failed need not have cleaned up
	}
	http.DefaultClient.CloseIdleConnections()
	leaked := wait(patience)
	if len(leaked) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "leakcheck: %d goroutines outlive the tests:\n\n%s\n",
		len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// wait returns the stacks that are left when there are none, or when the time is
// up.
func wait(limit time.Duration) []string {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		leaked := find()
		if len(leaked) == 0 {
			return nil
		}
		select {
		case <-timeout.C:
			return leaked
		case <-again.C:
		}
	}
}

// find returns the stacks of all goroutines that are ours, but for its caller's
// and the one that runs the tests.
func find() []string {
	var leaked []string
	for i, stack := range strings.Split(allStacks(), "\n\n") {
		if i == 0 || strings.Contains(stack, "testing.(*M).Run") {
			continue // the caller's stack always comes first
		}
		for _, function := range ours {
			if strings.Contains(stack, function) {
				leaked = append(leaked, strings.TrimSpace(stack))
				break
			}
		}
	}
	return leaked
}

func allStacks() string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}
