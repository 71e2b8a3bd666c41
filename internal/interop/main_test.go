package interop

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/leakcheck"
)

// deadline limits every wait of a test. When a wait reaches it, the test fails.
const deadline = 90 * time.Second

// superviseVariable is an environment variable. If it is set, the test binary
// supervises the command in its arguments and runs no tests.
const superviseVariable = "SSE_INTEROP_SUPERVISE"

func TestMain(m *testing.M) {
	if os.Getenv(superviseVariable) != "" {
		supervise(os.Args[1], os.Args[2:])
	}
	if path := os.Getenv(brokerVariable); path != "" {
		serveBroker(path)
	}
	os.Exit(leakcheck.Check(m))
}

// supervise runs a command until the command or standard input ends, and then
// kills all processes that the command has started. Standard input is a pipe from
// the process of the tests. It ends when that process ends for any reason, so no
// browser survives tests that panic or are killed. Each byte of standard input
// makes supervise interrupt the command.
func supervise(name string, args []string) {
	_ = os.Unsetenv(superviseVariable)
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for one := make([]byte, 1); ; {
			if _, err := io.ReadFull(os.Stdin, one); err != nil {
				break
			}
			_ = cmd.Process.Signal(os.Interrupt)
		}
		killGroup(cmd.Process)
		os.Exit(1)
	}()
	if err := cmd.Wait(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	killGroup(cmd.Process)
	os.Exit(0)
}
