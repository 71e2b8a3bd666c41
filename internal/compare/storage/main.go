// Command storage compares storage libraries for an event log. It measures the same
// simple log, with the same keys, on each library, and prints the table of
// docs/adr/0010-the-hub-stores-events-in-pebble.md.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

var ctx = context.Background()

// candidate is a storage library.
type candidate struct {
	name string
	open func(dir string) (kv, error)
}

var candidates = []candidate{{"Pebble", openPebble}, {"bbolt", openBolt}}

func main() {
	length := flag.Duration("time", 5*time.Second, "publish for `DURATION`")
	events := flag.Int("events", 1_000_000, "store `N` events before the replay and the restart")
	dir := flag.String("dir", "",
		"write below `DIR`; if empty, below the directory for temporary files")
	flag.Parse()
	if err := run(*dir, *length, *events); err != nil {
		fmt.Fprintln(os.Stderr, "storage:", err)
		os.Exit(1)
	}
}

func run(dir string, length time.Duration, events int) error {
	dir, err := os.MkdirTemp(dir, "storage")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := noise()
	for _, c := range candidates {
		for _, step := range []func(c candidate, dir string) error{
			func(c candidate, dir string) error { return publishAll(c, dir, length, 1, data, 500) },
			func(c candidate, dir string) error { return publishAll(c, dir, length, 10_000, data, 500) },
			func(c candidate, dir string) error { return million(c, dir, events, data) },
			func(c candidate, dir string) error { return retention(c, dir, events, data) },
		} {
			at := filepath.Join(dir, "log")
			if err := step(c, at); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		}
	}
	return single(filepath.Join(dir, "log"), length, data)
}

// noise returns data that cannot be compressed.
func noise() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(' ' + rng.IntN(95))
	}
	return data
}

const eventSize = 200

// publishAll measures concurrent publishers. Each publishes one event after the
// other, on each topic in turn.
func publishAll(
	c candidate, dir string, length time.Duration, topics int, data []byte, publishers int,
) error {
	store, err := c.open(dir)
	if err != nil {
		return err
	}
	l := newLog(store)
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	began, cpu := time.Now(), cpuTime()
	for i := range publishers {
		all.Go(func() {
			mine := publisher(l, i, publishers, topics, data, began.Add(length))
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	all.Wait()
	elapsed, cpu := time.Since(began), cpuTime()-cpu
	slices.SortFunc(took, cmp.Compare[time.Duration])
	n := len(took)
	report(c.name, fmt.Sprintf("%d publishers, %d topics", publishers, topics),
		"%.0f events/s, %.1f µs CPU each, p50 %.1f ms, p99 %.1f ms, %.0f syncs/s",
		float64(n)/elapsed.Seconds(), float64(cpu.Microseconds())/float64(n),
		ms(took[n/2]), ms(took[n*99/100]), float64(l.syncs.Load())/elapsed.Seconds())
	return l.close()
}

// publisher publishes events until end, and returns how long each of them took.
func publisher(
	l *log, i, publishers, topics int, data []byte, end time.Time,
) (took []time.Duration) {
	p := &publish{done: make(chan error)}
	for n := i; ; n += publishers {
		began := time.Now()
		if began.After(end) {
			return took
		}
		at := n * 7919 % (len(data) - eventSize)
		p.topic, p.data = fmt.Sprintf("room/%d", n%topics), data[at:at+eventSize]
		l.queue <- p
		if err := <-p.done; err != nil {
			panic(err)
		}
		took = append(took, time.Since(began))
	}
}

// topicOf returns the topic of an event in a log that fill has written.
func topicOf(seq uint64) string { return fmt.Sprintf("room/%d/%d", seq%10, seq/10%100) }

// fill writes n events, a thousand with each sync.
func fill(l *log, n int, data []byte) error {
	var group []*publish
	for i := 1; i <= n; i++ {
		at := i * 7919 % (len(data) - eventSize)
		topic := topicOf(l.last + uint64(len(group)) + 1)
		group = append(group, &publish{topic: topic, data: data[at : at+eventSize]})
		if len(group) == 1000 || i == n {
			if err := l.write(group); err != nil {
				return err
			}
			group = group[:0]
		}
	}
	return nil
}

// million fills a log with events, by default a million, on a thousand topics. Then
// it opens the log again and replays a topic and a pattern.
func million(c candidate, dir string, events int, data []byte) error {
	store, err := c.open(dir)
	if err != nil {
		return err
	}
	l := newLog(store)
	began, cpu := time.Now(), cpuTime()
	if err := fill(l, events, data); err != nil {
		return err
	}
	report(c.name, fmt.Sprintf("%d events by one publisher of 1,000 each", events),
		"%.0f events/s, %.1f µs CPU each, %.0f MB",
		float64(events)/time.Since(began).Seconds(),
		float64((cpuTime()-cpu).Microseconds())/float64(events), mb(dir))
	if err := l.close(); err != nil {
		return err
	}
	began = time.Now()
	if store, err = c.open(dir); err != nil {
		return err
	}
	report(c.name, "restart", "%.1f ms", ms(time.Since(began)))
	l = newLog(store)
	var pattern []string
	for i := range 100 {
		pattern = append(pattern, fmt.Sprintf("room/3/%d", i))
	}
	for what, topics := range map[string][]string{
		"replay of a topic": {"room/3/33"}, "replay of a pattern": pattern,
	} {
		const rounds = 5
		n := 0
		began := time.Now()
		for range rounds {
			if n, err = l.replay(topics); err != nil {
				return err
			}
		}
		report(c.name, what, "%d events, %.2f µs each", n,
			float64(time.Since(began).Nanoseconds())/1e3/float64(rounds*max(n, 1)))
	}
	return l.close()
}

// retention publishes events. After each hundredth of them, it removes old events, so
// that a tenth of the total number is retained.
func retention(c candidate, dir string, events int, data []byte) error {
	store, err := c.open(dir)
	if err != nil {
		return err
	}
	l := newLog(store)
	limit := uint64(events / 10)
	most := 0.0
	began, cpu := time.Now(), cpuTime()
	step := max(events/100, 1)
	for n := 0; n < events; n += step {
		if err := fill(l, step, data); err != nil {
			return err
		}
		if stored := l.last - l.first + 1; stored > limit {
			if err := l.trim(stored-limit, topicOf); err != nil {
				return err
			}
		}
		most = max(most, mb(dir))
	}
	elapsed := time.Since(began)
	used := cpuTime() - cpu
	if err := l.trim(l.last-l.first, topicOf); err != nil {
		return err
	}
	report(c.name, fmt.Sprintf("%d events, of which %d are retained", events, limit),
		"%.0f events/s, %.1f µs CPU each; %.0f MB at most, %.0f MB after all are removed",
		float64(events)/elapsed.Seconds(), float64(used.Microseconds())/float64(events),
		most, mb(dir))
	return l.close()
}

// single measures bbolt with a transaction for each event.
func single(dir string, length time.Duration, data []byte) error {
	store, err := openBolt(dir)
	if err != nil {
		return err
	}
	l := newLog(store)
	n := 0
	began, cpu := time.Now(), cpuTime()
	for time.Since(began) < length {
		if err := fill(l, 1, data); err != nil {
			return err
		}
		n++
	}
	report("bbolt", "a transaction for each event", "%.0f events/s, %.1f µs CPU each",
		float64(n)/time.Since(began).Seconds(),
		float64((cpuTime()-cpu).Microseconds())/float64(n))
	return l.close()
}

func report(name, what, format string, args ...any) {
	fmt.Printf("| %s | %s | %s |\n", name, what, fmt.Sprintf(format, args...))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// mb returns the size of the files in a directory in megabytes.
func mb(dir string) float64 {
	size := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return float64(size) / 1e6
}

// cpuTime returns the user and system time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
