package segmentlog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/faultfs"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog/vfs"
)

// soak makes some tests larger.
var soak = os.Getenv("SSE_TEST_SOAK") != ""

// dir is the directory of a log in memory.
const dir = "/log"

// quiet is for logs from which many messages are expected.
var quiet = slog.New(slog.DiscardHandler)

// open opens a log that is closed when the test ends.
func open(tb testing.TB, dir string, opts segmentlog.Options) *segmentlog.Log {
	tb.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	if opts.Fatal == nil {
		opts.Fatal = func(err error) { panic(err) }
	}
	l, err := segmentlog.Open(dir, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// messages is a logger's output. It is safe for concurrent use.
type messages struct {
	mu   sync.Mutex // guards the following
	text bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

func (m *messages) logger() *slog.Logger { return slog.New(slog.NewTextHandler(m, nil)) }

// entry returns an entry as a broker appends it.
func entry(data string, topics ...string) sse.Entry {
	return sse.Entry{Time: time.Now(), Topics: topics, Event: sse.Event{Data: data}}
}

// put appends entries, and returns them with their positions.
func put(tb testing.TB, l sse.EventLog, entries ...sse.Entry) []sse.Entry {
	tb.Helper()
	result, err := l.Append(tb.Context(), sse.AppendRequest{Entries: entries})
	if err != nil {
		tb.Fatal(err)
	}
	for i, p := range result.Positions {
		entries[i].Position = p
	}
	return entries
}

// get reads all entries that are selected.
func get(tb testing.TB, l sse.EventLog, selection sse.Selection) sse.Page {
	tb.Helper()
	page, err := l.Read(tb.Context(), sse.ReadRequest{Selection: selection, Limit: 1 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// end returns the position of the end of a log.
func end(tb testing.TB, l sse.EventLog) sse.Position {
	tb.Helper()
	return locate(tb, l, sse.Start{}, everything).Next
}

func locate(tb testing.TB, l sse.EventLog, start sse.Start, selection sse.Selection) sse.Page {
	tb.Helper()
	page, err := l.Locate(tb.Context(), start, selection)
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

func trim(tb testing.TB, l *segmentlog.Log) {
	tb.Helper()
	if err := l.Trim(); err != nil {
		tb.Fatal(err)
	}
}

func pattern(text string) sse.Pattern {
	p, err := sse.ParsePattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

func patterns(texts ...string) sse.Selection {
	var selection sse.Selection
	for _, text := range texts {
		selection.Patterns = append(selection.Patterns, pattern(text))
	}
	return selection
}

func topics(topics ...string) sse.Selection { return sse.Selection{Topics: topics} }

var everything = patterns("**")

// data returns the data of the entries of a page.
func data(page sse.Page) string {
	var all []string
	for _, e := range page.Entries {
		all = append(all, e.Event.Data)
	}
	return strings.Join(all, " ")
}

// contains returns an error unless a log has all acknowledged entries, in order, and
// none of them twice. Entries that were removed must be reported as lost.
func contains(l sse.EventLog, acked []sse.Entry) error {
	page, err := l.Read(context.Background(), sse.ReadRequest{Selection: everything, Limit: 1 << 30})
	if err != nil {
		return err
	}
	found, seen, last := map[uint64]sse.Entry{}, map[string]bool{}, uint64(0)
	for _, e := range page.Entries {
		if e.Position.Seq <= last || seen[e.Event.Data] {
			return fmt.Errorf("%s comes after number %d, or twice", show(e), last)
		}
		last = e.Position.Seq
		found[last], seen[e.Event.Data] = e, true
	}
	for _, want := range acked {
		e, ok := found[want.Position.Seq]
		if !ok && page.Lost.Seq < want.Position.Seq {
			return fmt.Errorf("%s is missing", show(want))
		}
		if ok && (e.Position != want.Position || e.Event != want.Event) {
			return fmt.Errorf("%s is there, want %s", show(e), show(want))
		}
	}
	return nil
}

func show(e sse.Entry) string {
	return fmt.Sprintf("number %d, %.40q", e.Position.Seq, e.Event.Data)
}

// noise returns data that cannot be compressed.
func noise(rng *rand.Rand, n int) string {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(' ' + rng.IntN(95))
	}
	return string(p)
}

// files returns the files of a log in memory whose names end with a suffix.
func files(fsys *faultfs.FS, suffix string) (names []string) {
	for _, name := range fsys.Files() {
		if strings.HasSuffix(name, suffix) {
			names = append(names, filepath.Base(name))
		}
	}
	return names
}

// bytesIn returns the size of all files of a log in memory whose names end with a
// suffix. It leaves out a file that the log removes meanwhile.
func bytesIn(fsys *faultfs.FS, suffix string) (total int) {
	for _, name := range files(fsys, suffix) {
		file, err := fsys.Open(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		size, err := file.Size()
		if err == nil {
			total += int(size)
		}
		_ = file.Close() // only read
	}
	return total
}

// refusing is a disk on which some files cannot be created.
type refusing struct {
	*faultfs.FS
	suffix atomic.Value // of the names of these files
}

// refuse makes Create fail for names with a suffix. If it is empty, for none.
func (d *refusing) refuse(suffix string) { d.suffix.Store(suffix) }

func (d *refusing) Create(name string) (vfs.File, error) {
	if suffix, _ := d.suffix.Load().(string); suffix != "" && strings.HasSuffix(name, suffix) {
		return nil, &os.PathError{Op: "create", Path: name, Err: syscall.EMFILE}
	}
	return d.FS.Create(name)
}
