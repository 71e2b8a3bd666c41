package main

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse/internal/compare/drive"
)

func TestParseBenchmark(t *testing.T) {
	const good = `goos: linux
BenchmarkManyParked/1000-2    	      20	    408132 ns/op	       318.2 B/sub	      3194 ns-subscribe/sub	       488.0 ns-reach/sub	      1500 ns-remove/sub
BenchmarkManyParked/1000000   	      20	 408132000 ns/op	       296 B/sub	 ` +
		`3.1e+03 ns-subscribe/sub	       340 ns-reach/sub	      1400 ns-remove/sub
BenchmarkOther/7-2   	      20	    408132 ns/op
PASS
`
	rows, err := parseBenchmark(good)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].subscribers != 1000 || rows[1].subscribers != 1_000_000 {
		t.Fatalf("got %v, want rows of 1000 and 1000000", rows)
	}
	for _, test := range []struct {
		row  int
		unit string
		want float64
	}{
		{0, bytesEach, 318.2}, {0, nsToSubscribe, 3194}, {0, nsToReach, 488}, {0, nsToRemove, 1500},
		{1, bytesEach, 296}, {1, nsToSubscribe, 3100}, {1, nsToReach, 340}, {1, nsToRemove, 1400},
	} {
		if got := rows[test.row].metrics[test.unit]; got != test.want {
			t.Errorf("row %d: %v %s, want %v", test.row, got, test.unit, test.want)
		}
	}
	for _, bad := range []string{
		"", "PASS\n",
		"BenchmarkManyParked/many-2 20 1 ns/op\n",
		"BenchmarkManyParked/1000-2 20 x ns/op\n",
		strings.ReplaceAll(good, "ns-remove/sub", "ns"),
	} {
		if rows, err := parseBenchmark(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, rows)
		}
	}
}

func TestAvailableBytes(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64 // -1: an error
	}{
		{"MemTotal:       24683832 kB\nMemFree:   1 kB\nMemAvailable:   22976128 kB\n", 22976128 << 10},
		{"MemAvailable: 0 kB\n", 0},
		{"MemAvailable: much kB\n", -1},
		{"MemTotal: 24683832 kB\n", -1},
		{"", -1},
	} {
		got, err := availableBytes(test.text)
		if err != nil {
			got = -1
		}
		if got != test.want {
			t.Errorf("%q: got %d, %v, want %d", test.text, got, err, test.want)
		}
	}
}

// check reports that the machine has too little memory or too few open files.
func TestCheck(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	for _, test := range []struct {
		p    plan
		want string
	}{
		{plan{subscribers: 1_000_000_000, servers: 1_000_000}, "set fewer with -subscribers"},
		{plan{subscribers: 1_000_000_000, servers: 1}, "open files"},
	} {
		if err := check(test.p); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.p, err, test.want)
		}
	}
}

func TestRender(t *testing.T) {
	p := plan{subscribers: 2000, servers: 2, settle: time.Second, benchmarks: "B", benchtime: "20x"}
	f := figures{
		clients: 3, counts: []float64{1100, 900}, goroutines: 10,
		before: memory{rss: 10e6, kernel: 1e6}, idle: memory{rss: 12e6, kernel: 17e6},
		connect:  drive.Cost{Wall: time.Second, CPU: 500 * time.Millisecond},
		shutdown: drive.Cost{Wall: 100 * time.Millisecond, CPU: 50 * time.Millisecond},
	}
	f.first.Cost = drive.Cost{Wall: 40 * time.Millisecond, CPU: 20 * time.Millisecond}
	for _, ms := range []time.Duration{20, 30, 60} {
		o := drive.Outcome{Cost: drive.Cost{Wall: ms * time.Millisecond, CPU: 20 * time.Millisecond}}
		o.Latency.Add(int64(ms) * 1e6)
		f.events = append(f.events, o)
	}
	row := func(n int, each, subscribe, reach, remove float64) parked {
		return parked{n, map[string]float64{
			bytesEach: each, nsToSubscribe: subscribe, nsToReach: reach, nsToRemove: remove,
		}}
	}
	got := render(p, f, []parked{row(1000, 300, 3000, 400, 1000), row(10_000, 330, 3000, 300, 1000)})
	for _, want := range []string{
		"2,000 subscribers, all parked, are connected to 2 server processes",
		"a process has 1,000 (900–1,100) subscribers. The\nsubscribers run in 3 other",
		`
### 2,000 subscribers

| | total ↓ | per subscriber ↓ |
|---|---|---|
| RSS of the servers, idle, minus RSS without subscribers | 2 MB | 1,000 B |
| RSS of the servers, idle | 12 MB | 6,000 B |
| kernel memory, both ends | 16 MB | 8,000 B |
| goroutines of the servers | 10 |  |
| connecting, time | 1.00 s | 500 µs |
| connecting, CPU | 0.50 s | 250 µs |
| the first event, time | 0.040 s | 20.0 µs |
| the first event, CPU | 0.020 s | 10.0 µs |
| each of 3 more events, time | 0.030 (0.020–0.060) s | 15.0 µs |
| each of 3 more events, CPU | 0.020 s | 10.0 µs |
`, `
| ending all streams (Shutdown), time | 0.10 s | 50.0 µs |
| ending all streams (Shutdown), CPU | 0.050 s | 25.0 µs |

### Up to 10,000 subscribers, without writes
`, "`go test -run xxx -bench B -benchtime 20x .`", "published 20 times", `
| subscribers | bytes per subscriber ↓ | ns to subscribe one ↓ | ns to reach one with an event ↓ | ns to remove one ↓ |
|---|---|---|---|---|
| 1,000 | 300 | 3,000 | 400 | 1,000 |
| 10,000 | 330 | 3,000 | 300 | 1,000 |
| 10,000 relative to 1,000 | 1.10 | 1.00 | 0.75 | 1.00 |
`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwithout\n%s", got, want)
		}
	}
}
