package disklog_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/internal/testrand"
)

// victimDir is the environment variable that makes the test binary a process
// which appends to a log in that directory until it is killed.
const victimDir = "DISKLOG_VICTIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	if os.Getenv(failingDir) != "" {
		if err := failing(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim appends with 50 publishers, and prints what is acknowledged: the
// position and the data.
func victim(dir string) error {
	l, err := disklog.Open(dir, &disklog.Options{Logger: quiet})
	if err != nil {
		return err
	}
	round := os.Getpid()
	failed := make(chan error)
	var mu sync.Mutex // a line at a time
	for i := range 50 {
		go func() {
			for n := 0; ; n++ {
				e := entry(fmt.Sprintf("%d-%d-%d", round, i, n), fmt.Sprint("topic/", i%7), "all")
				positions, err := l.Append(context.Background(), e)
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				_, err = fmt.Printf("%s %s\n", positions[0], e.Event.Data)
				mu.Unlock()
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// killOne starts a victim, kills it after so many acknowledgements, and returns
// them.
func killOne(t *testing.T, dir string, after int) []sse.Entry {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []sse.Entry
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // in the middle of a line, which is not acknowledged
		}
		if err != nil {
			t.Fatal(err)
		}
		text, data, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		position, err := sse.ParsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		acked = append(acked, sse.Entry{Position: position, Event: sse.Event{Data: data}})
		if len(acked) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(acked) < after {
		t.Fatalf("the process has ended after %d acknowledgements", len(acked))
	}
	return acked
}

// TestKill kills a process, 100 times in the soak, while 50 publishers append. The
// log is the same all the time; after each kill, it must hold all that was
// acknowledged, in one epoch.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	kills := 20
	if soak {
		kills = 100
	}
	dir := t.TempDir()
	rng := testrand.New(t)
	var acked []sse.Entry
	for range kills {
		acked = append(acked, killOne(t, dir, 1+rng.IntN(600))...)
		l, err := disklog.Open(dir, &disklog.Options{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if err := holds(l, acked, 0); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d entries were acknowledged", len(acked))
}
