package segmentlog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/internal/testrand"
)

// victimDir is the environment variable that makes the test binary a process that
// appends to the log in that directory until it is killed.
const victimDir = "SEGMENTLOG_VICTIM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victimOptions are the options of the log that is killed. Its segments are small, so
// that it is killed while it seals, rewrites and removes them.
func victimOptions() *segmentlog.Options {
	return &segmentlog.Options{
		Logger: quiet, SegmentSize: 8 << 10, Reserve: -1,
		Retention: []segmentlog.Retention{{Pattern: pattern("brief/*"), Count: 20}},
	}
}

// victim appends with 50 publishers, and prints the position, the topic and
// the data of each acknowledged entry.
func victim(dir string) error {
	l, err := segmentlog.Open(dir, victimOptions())
	if err != nil {
		return err
	}
	failed := make(chan error)
	var mu sync.Mutex // guards the standard output
	for i := range 50 {
		go func() {
			for n := 0; ; n++ {
				e := entry(fmt.Sprintf("%d-%d-%d", os.Getpid(), i, n), fmt.Sprint("topic/", i%7))
				if i%2 == 0 {
					e.Topics[0] = fmt.Sprint("brief/", i%4)
				}
				result, err := l.Append(context.Background(), sse.AppendRequest{
					Entries: []sse.Entry{e}, Key: keyOf(e.Event.Data), Owner: "victim",
				})
				mu.Lock()
				if err == nil {
					_, err = fmt.Println(result.Positions[0], e.Topics[0], e.Event.Data)
				}
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

// keyOf returns the idempotency key of an entry. Most entries have none.
func keyOf(data string) string {
	if strings.HasSuffix(data, "7") {
		return data
	}
	return ""
}

// killOne starts a victim, kills it after a number of acknowledgements, and returns
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
			break // an incomplete line is not an acknowledgement
		}
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(line)
		position, err := sse.ParsePosition(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		acked = append(acked, sse.Entry{
			Position: position, Topics: fields[1:2], Event: sse.Event{Data: fields[2]},
		})
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

// TestKill kills a process while 50 publishers append. The log is the same all the
// time. After each kill, it must have all acknowledged entries, in one epoch.
func TestKill(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 3
	}
	if soak {
		kills = 200
	}
	dir := t.TempDir()
	rng := testrand.New(t)
	var acked []sse.Entry
	for range kills {
		acked = append(acked, killOne(t, dir, 1+rng.IntN(600))...)
		l, err := segmentlog.Open(dir, victimOptions())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(survived(t, l, acked), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d entries were acknowledged", len(acked))
}

// survived returns an error unless a log has all acknowledged entries except those that
// retention removes, and remembers their keys.
func survived(t *testing.T, l *segmentlog.Log, acked []sse.Entry) error {
	if err := contains(l, acked); err != nil {
		return err
	}
	stored := map[uint64]bool{}
	for _, e := range get(t, l, everything).Entries {
		stored[e.Position.Seq] = true
	}
	for _, e := range acked {
		if strings.HasPrefix(e.Topics[0], "topic/") && !stored[e.Position.Seq] {
			return fmt.Errorf("%s was removed", show(e))
		}
	}
	for _, e := range acked[max(0, len(acked)-100):] {
		key := keyOf(e.Event.Data)
		if key == "" {
			continue
		}
		result, err := l.Append(t.Context(), sse.AppendRequest{
			Entries: []sse.Entry{e}, Key: key, Owner: "victim",
		})
		if err != nil || !result.Replayed || result.Positions[0] != e.Position {
			return fmt.Errorf("%s with its key: %+v, %w", show(e), result, err)
		}
	}
	return nil
}
