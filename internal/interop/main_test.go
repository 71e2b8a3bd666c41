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

// deadline limits every wait. A test that reaches it fails; no test measures
// time with it.
const deadline = 90 * time.Second

// superviseVariable is an environment variable that makes the test binary a
// supervisor of the command in its arguments.
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
// kills all processes that the command has started. The other end of standard
// input is open in the tests and closes when they end for any reason. So no
// browser survives a test that panics or is killed. Each byte of standard input
// interrupts the command.
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
