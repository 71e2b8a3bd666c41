package segmentlog_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/disklog"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func text160() string {
	rng := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for text.Len() < 160 {
		fmt.Fprintf(&text, `{"price":%d,"name":"abc"}`, rng.IntN(1e9))
	}
	return text.String()[:160]
}

func openers(b *testing.B, bytes int64) map[string]func(dir string) sse.EventLog {
	return map[string]func(dir string) sse.EventLog{
		"old": func(dir string) sse.EventLog {
			o := &disklog.Options{Logger: quiet}
			if bytes > 0 {
				o.Retention = []disklog.Retention{{Bytes: bytes}}
			}
			l, err := disklog.Open(dir, o)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			return l.EventLog()
		},
		"new": func(dir string) sse.EventLog {
			o := &segmentlog.Options{Logger: quiet}
			if bytes > 0 {
				o.Retention = []segmentlog.Retention{{Bytes: bytes}}
			}
			l, err := segmentlog.Open(dir, o)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			return l
		},
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, publishers := range []int{1, 500} {
		for _, topics := range []int{1, 1000} {
			for _, which := range []string{"old", "new"} {
				b.Run(fmt.Sprintf("publishers=%d/topics=%d/%s", publishers, topics, which), func(b *testing.B) {
					appendAll(b, openers(b, 0)[which](b.TempDir()), publishers, topics)
				})
			}
		}
	}
}

func appendAll(b *testing.B, l sse.EventLog, publishers, topics int) {
	data := text160()
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
				e := sse.Entry{Time: time.Now(), Topics: []string{fmt.Sprintf("room/%d", n%int64(topics))}, Event: sse.Event{Data: data}}
				began := time.Now()
				if _, err := l.Append(b.Context(), sse.AppendRequest{Entries: []sse.Entry{e}}); err != nil {
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
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(b.N), "µs-cpu/event")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
}

func sel(topics []string, patterns ...string) sse.Selection {
	s := sse.Selection{Topics: topics}
	for _, p := range patterns {
		pattern, err := sse.ParsePattern(p)
		if err != nil {
			panic(err)
		}
		s.Patterns = append(s.Patterns, pattern)
	}
	return s
}

func BenchmarkReplay(b *testing.B) {
	for _, which := range []string{"old", "new"} {
		dir := b.TempDir()
		l := openers(b, 0)[which](dir)
		data := text160()
		for n := 0; n < 1_000_000; {
			entries := make([]sse.Entry, 1000)
			for i := range entries {
				topic := fmt.Sprintf("room/%d/%d", n%10, n/10%100)
				if n%1000 == 777 {
					topic = "rare"
				} else if n%2 == 0 {
					topic = "dense"
				}
				entries[i] = sse.Entry{Time: time.Now(), Topics: []string{topic}, Event: sse.Event{Data: data}}
				n++
			}
			if _, err := l.Append(b.Context(), sse.AppendRequest{Entries: entries}); err != nil {
				b.Fatal(err)
			}
		}
		for name, s := range map[string]sse.Selection{
			"rare": sel([]string{"rare"}), "dense": sel([]string{"dense"}),
			"pattern": sel(nil, "room/3/*"), "all": sel(nil, "**"),
		} {
			b.Run(name+"/"+which, func(b *testing.B) {
				events := 0
				before := cpuTime()
				for b.Loop() {
					after := sse.Position{}
					for {
						page, err := l.Read(b.Context(), sse.ReadRequest{After: after, Selection: s, Limit: 64 << 10})
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
				b.ReportMetric(float64(events)/float64(b.N), "events")
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(events), "µs-cpu/event")
			})
		}
	}
}

func BenchmarkRetention(b *testing.B) {
	for _, which := range []string{"old", "new"} {
		b.Run(which, func(b *testing.B) {
			dir := b.TempDir()
			l := openers(b, 100e6)[which](dir)
			data := text160()
			total := 500_000_000
			if os.Getenv("GB") != "" {
				fmt.Sscan(os.Getenv("GB"), &total)
				total *= 1e9
			}
			before := cpuTime()
			var published atomic.Int64
			var all sync.WaitGroup
			most := int64(0)
			for p := range 8 {
				all.Go(func() {
					for n := 0; published.Load() < int64(total); n++ {
						entries := make([]sse.Entry, 100)
						for i := range entries {
							entries[i] = sse.Entry{Time: time.Now(), Topics: []string{fmt.Sprint("topic/", rand.IntN(1000))}, Event: sse.Event{Data: data}}
						}
						if _, err := l.Append(b.Context(), sse.AppendRequest{Entries: entries}); err != nil {
							b.Error(err)
							return
						}
						published.Add(100 * 160)
						if p == 0 && n%100 == 0 {
							most = max(most, dirSize(dir))
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1e3/float64(total/160), "µs-cpu/event")
			b.ReportMetric(float64(most)/1e6, "dir-MB")
		})
	}
}

func dirSize(dir string) int64 {
	n := int64(0)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			n += dirSize(dir + "/" + e.Name())
		} else if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}
