package disklog_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
)

// The figures of ADR 10 are those of
//
//	go test -run '^$' -bench 'Append|Million' -benchtime 5s ./internal/disklog
//	DISKLOG_GB=10 go test -run '^$' -bench Retention -benchtime 1x ./internal/disklog

// million is the number of events in the log that is read and opened.
const million = 1_000_000

// filled makes a log with a million events of 200 bytes in a thousand topics:
// room/0/a … room/9/a, room/0/b …
func filled(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	l := open(b, dir, disklog.Options{})
	data := text200()
	began := time.Now()
	for n := 0; n < million; {
		entries := make([]sse.Entry, 1000)
		for i := range entries {
			entries[i] = entry(data, fmt.Sprintf("room/%d/%d", n%10, n/10%100))
			entries[i].Event.ID = strconv.Itoa(n)
			n++
		}
		put(b, l, entries...)
	}
	b.Logf("filled in %v", time.Since(began))
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}

// text200 is as compressible as JSON is, about.
func text200() string {
	rng := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for text.Len() < 200 {
		fmt.Fprintf(&text, `{"price":%d,"name":"abc"}`, rng.IntN(1e9))
	}
	return text.String()[:200]
}

// BenchmarkAppend is 500 publishers of one event each time.
func BenchmarkAppend(b *testing.B) {
	for _, topics := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			l := open(b, b.TempDir(), disklog.Options{})
			appendConcurrently(b, l, 500, topics)
		})
	}
}

// BenchmarkAppendAlone is one publisher.
func BenchmarkAppendAlone(b *testing.B) {
	appendConcurrently(b, open(b, b.TempDir(), disklog.Options{}), 1, 1)
}

// BenchmarkAppendBatch is one publisher of 100 events each time.
func BenchmarkAppendBatch(b *testing.B) {
	l := open(b, b.TempDir(), disklog.Options{})
	entries := make([]sse.Entry, 100)
	for i := range entries {
		entries[i] = entry(text200(), "a")
	}
	for b.Loop() {
		put(b, l, entries...)
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "events/s")
}

func appendConcurrently(b *testing.B, l *disklog.Log, publishers, topics int) {
	data := text200()
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	before := cpuTime()
	b.ResetTimer()
	for range publishers {
		all.Go(func() {
			var mine []time.Duration
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					break
				}
				e := entry(data, fmt.Sprintf("room/%d", n%int64(topics)))
				began := time.Now()
				if _, err := l.Append(b.Context(), e); err != nil {
					b.Error(err)
					break
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	all.Wait()
	b.StopTimer()
	slices.SortFunc(took, cmp.Compare[time.Duration])
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "µs-cpu/event")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
}

// BenchmarkMillion opens and reads a log with a million events.
func BenchmarkMillion(b *testing.B) {
	dir := filled(b)
	b.Run("restart", func(b *testing.B) {
		for b.Loop() {
			l, err := disklog.Open(dir, &disklog.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restart, last 10", func(b *testing.B) {
		for b.Loop() {
			l, err := disklog.Open(dir, &disklog.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			last10(b, l, topics("room/3/33"))
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	l := open(b, dir, disklog.Options{})
	for name, sel := range map[string]sse.Selection{
		"topic": topics("room/3/33"), "pattern": patterns("room/3/*"), "all": everything,
		"wide pattern": patterns("*/*/33"),
	} {
		b.Run("last 10 of "+name, func(b *testing.B) {
			for b.Loop() {
				last10(b, l, sel)
			}
		})
		b.Run("replay of "+name, func(b *testing.B) { replay(b, l, sel) })
	}
	b.Run("locate a time", func(b *testing.B) {
		page := get(b, l, topics("room/3/33"))
		start := sse.Start{Time: page.Entries[500].Time}
		for b.Loop() {
			if _, err := l.Locate(b.Context(), start, everything); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func last10(b *testing.B, l *disklog.Log, sel sse.Selection) {
	p, err := l.Locate(b.Context(), sse.Start{Last: 10}, sel)
	if err != nil {
		b.Fatal(err)
	}
	page, err := l.Read(b.Context(), p, sse.Position{}, sel, 1<<20)
	if err != nil || len(page.Entries) != 10 {
		b.Fatal(len(page.Entries), err)
	}
}

// replay reads in pages of 64 KiB.
func replay(b *testing.B, l *disklog.Log, sel sse.Selection) {
	events := 0
	before := cpuTime()
	for b.Loop() {
		after := sse.Position{}
		for {
			page, err := l.Read(b.Context(), after, sse.Position{}, sel, 64<<10)
			if err != nil {
				b.Fatal(err)
			}
			if len(page.Entries) == 0 {
				break
			}
			events += len(page.Entries)
			after = page.Next
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(events), "µs-cpu/event")
}

// BenchmarkRetention publishes DISKLOG_GB gigabytes, or 0.3, under a limit of
// 100 MB. It logs what the directory and the process have meanwhile, and tells what
// they had at most, and the process in the first tenth.
func BenchmarkRetention(b *testing.B) {
	gb, err := strconv.ParseFloat(os.Getenv("DISKLOG_GB"), 64)
	if err != nil {
		gb = 0.3
	}
	for _, size := range []int{200, 10_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			for b.Loop() {
				publishUnderLimit(b, int64(gb*1e9), size)
			}
		})
	}
}

func publishUnderLimit(b *testing.B, total int64, size int) {
	const batch = 100
	dir := b.TempDir()
	l := open(b, dir, disklog.Options{Retention: []disklog.Retention{{Bytes: 100e6}}})
	pool := noise(rand.New(rand.NewPCG(9, 9)), 1<<20)
	before := cpuTime()
	var published atomic.Int64
	s := sampler{dir: dir, total: total}
	var all sync.WaitGroup
	for p := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(p), 9))
			for n := 0; published.Load() < total; n++ {
				entries := make([]sse.Entry, batch)
				for i := range entries {
					at := rng.IntN(len(pool) - size)
					entries[i] = entry(pool[at:at+size], fmt.Sprint("topic/", rng.IntN(1000)))
				}
				if _, err := l.Append(b.Context(), entries...); err != nil {
					b.Error(err)
					return
				}
				published.Add(int64(batch * size))
				if p == 0 && n%(1_000_000/(batch*size)+1) == 0 {
					s.sample(b, published.Load())
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(s.directory)/1e6, "dir-MB")
	b.ReportMetric(float64(s.memory)/1e6, "memory-MB")
	b.ReportMetric(float64(s.early)/1e6, "early-memory-MB")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(total)*float64(size), "µs-cpu/event")
	b.ReportMetric(float64(total)/1e6/b.Elapsed().Seconds(), "MB/s")
	if os.Getenv("DISKLOG_METRICS") != "" {
		b.Log(l.StoreMetrics())
	}
}

// sampler notes what a directory and this process have at most.
type sampler struct {
	dir                      string
	total                    int64 // bytes to be published
	told                     int64 // of which so many twentieths are logged
	directory, memory, early int64
}

func (s *sampler) sample(b *testing.B, published int64) {
	directory, memory := sizeOfDir(b, s.dir), resident()
	s.directory, s.memory = max(s.directory, directory), max(s.memory, memory)
	if published <= s.total/10 {
		s.early = s.memory
	}
	if published >= s.told*s.total/20 {
		s.told++
		b.Logf("%5.2f GB published: directory %d MB, memory %d MB",
			float64(published)/1e9, directory/1e6, memory/1e6)
	}
}

// resident is the memory of this process, of Go and of the store, which has some
// of its own; of Go alone where the system does not say.
func resident() int64 {
	var pages, resident int64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(text), &pages, &resident); err == nil {
			return resident * int64(os.Getpagesize())
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys - stats.HeapReleased)
}

// noise is data that cannot be compressed.
func noise(rng *rand.Rand, n int) string {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(' ' + rng.IntN(95))
	}
	return string(data)
}

// sizeOfDir is what the files of a directory have.
func sizeOfDir(tb testing.TB, dir string) int64 {
	size := int64(0)
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed meanwhile
		}
		if info, err := entry.Info(); err == nil && !info.IsDir() {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return size
}

// BenchmarkNewest finds the newest entries of a pattern, as many as it has topics.
func BenchmarkNewest(b *testing.B) {
	pattern, err := sse.ParsePattern("room/*")
	if err != nil {
		b.Fatal(err)
	}
	for _, topics := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			l := open(b, b.TempDir(), disklog.Options{})
			for n := 0; n < topics; {
				entries := make([]sse.Entry, 1000)
				for i := range entries {
					entries[i] = entry("x", fmt.Sprintf("room/%d", n))
					n++
				}
				put(b, l, entries...)
			}
			sel := sse.Selection{Patterns: []sse.Pattern{pattern}}
			for b.Loop() {
				if _, err := l.Locate(b.Context(), sse.Start{Last: topics}, sel); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*topics), "ns/topic")
		})
	}
}
