package disklog_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// TestOneArena shows that the store's memory comes from one arena of C's allocator,
// if from any, whatever the number of threads.
func TestOneArena(t *testing.T) {
	l := open(t, t.TempDir(), disklog.Options{Reserve: -1})
	data := noise(shared, 10_000)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 20 {
				if _, err := l.Append(t.Context(), entry(data, fmt.Sprint("t/", i))); err != nil {
					t.Error(err)
				}
				if i == 0 {
					if err := l.Flush(); err != nil {
						t.Error(err)
					}
				}
				if _, err := l.Read(t.Context(), sse.Position{}, sse.Position{}, everything, 1<<20); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := arenas(t); n > 0 {
		t.Errorf("%d arenas beside the main one", n)
	}
}

// arenas counts those of glibc beside the main one: 64 MiB of addresses, a multiple
// of that, of which the first part is in use. Go has such too, at other places.
func arenas(t *testing.T) (n int) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	var begun uint64
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			t.Fatal(err)
		}
		switch {
		case from < 0x7000_0000_0000:
		case mode == "rw-p" && from%size == 0:
			begun = from
		case mode == "---p" && to == begun+size:
			n++
		}
	}
	return n
}
