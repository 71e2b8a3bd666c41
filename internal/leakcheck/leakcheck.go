// Package leakcheck makes a test binary fail if goroutines of its tests still run
// after the last test.
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
	// timeout is how long Check waits for goroutines to end after the last test.
	// Goroutines of net/http end some time after their connection is closed.
	timeout = 5 * time.Second

	// interval is the time between two searches for goroutines.
	interval = 5 * time.Millisecond
)

// functions are parts of function names. They select the functions of this
// repository, of the HTTP server and of the HTTP transport. A test must end each
// goroutine whose stack contains such a function. A stack also contains the function
// that created the goroutine.
var functions = []string{
	"github.com/sse-go/sse",
	"net/http.(*Server)",
	"net/http.(*conn)",
	"net/http.(*connReader)",
	"net/http.(*http2",
	"net/http.(*persistConn)",
	"net/http.(*Transport)",
}

// Check runs the tests of m and returns the exit code for the process. If a test
// fails, Check does not look for goroutines. If the tests pass, Check closes the
// idle connections of [http.DefaultClient]. Then it waits up to 5 seconds until
// the goroutines of this repository, of HTTP servers and of HTTP transports have
// ended. If some still run, Check prints their stacks to standard error and
// returns 1.
func Check(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code // a failed test need not have cleaned up
	}
	http.DefaultClient.CloseIdleConnections()
	leaked := wait(timeout)
	if len(leaked) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "leakcheck: every test must end its goroutines, "+
		"but %d still run:\n\n%s\n",
		len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// wait calls find until it returns no stacks, or until limit has passed. It returns
// the stacks that find returned last.
func wait(limit time.Duration) []string {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		leaked := find()
		if len(leaked) == 0 {
			return nil
		}
		select {
		case <-timer.C:
			return leaked
		case <-ticker.C:
		}
	}
}

// find returns the stacks of the goroutines that a test must end. It skips its
// own goroutine and the goroutine that runs the tests.
func find() []string {
	var leaked []string
	for i, stack := range strings.Split(allStacks(), "\n\n") {
		if i == 0 || strings.Contains(stack, "testing.(*M).Run") {
			continue // runtime.Stack writes the calling goroutine first
		}
		for _, function := range functions {
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
