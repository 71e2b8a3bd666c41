package control_test

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"

	"github.com/sse-go/sse/internal/compare/control"
)

func TestEvent(t *testing.T) {
	for _, want := range []control.Event{
		{},
		{Topic: 7, Wave: 12, Sent: 1234567890123456789},
		{Topic: 999_999, Wave: 1 << 40, Sent: 1},
	} {
		data := control.AppendEvent(nil, want, 100)
		if len(data) != 100 {
			t.Errorf("got %d bytes, want 100: %s", len(data), data)
		}
		wrapped := `{"data":"` + string(data) + `"}`
		if got, ok := control.ParseEvent([]byte(wrapped)); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", wrapped, got, ok, want)
		}
	}
}

func TestEventForeign(t *testing.T) {
	for _, data := range []string{
		"", "hello", "@", "@1", "@1 ", "@1 2", "@1 2 3", "@ 1 2 ", "@1 x 3 ", "@-1 2 3 ",
		"@1 99999999999999999999 3 ",
	} {
		if e, ok := control.ParseEvent([]byte(data)); ok {
			t.Errorf("%q: got %v, want none", data, e)
		}
	}
}

func TestHistogram(t *testing.T) {
	var a, b, sum control.Histogram
	if got := a.Quantile(0.5); got != 0 {
		t.Errorf("median of an empty histogram: got %d, want 0", got)
	}
	for i := int64(1); i <= 1_000_000; i++ {
		if i%2 == 0 {
			a.Add(i)
		} else {
			b.Add(i)
		}
	}
	// Processes exchange histograms as JSON.
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &sum); err != nil {
		t.Fatal(err)
	}
	sum.Merge(b)
	if got := sum.Total(); got != 1_000_000 {
		t.Errorf("got %d values, want 1000000", got)
	}
	for _, q := range []float64{0.000001, 0.01, 0.5, 0.99, 0.999, 1} {
		got, want := float64(sum.Quantile(q)), q*1e6
		if got < want || got > want*33/32 {
			t.Errorf("quantile %v: got %v, want from %v to 3%% more", q, got, want)
		}
	}
	sum.Reset()
	if got := sum.Quantile(1); got != 0 {
		t.Errorf("maximum of an empty histogram: got %d, want 0", got)
	}
}

func TestClock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("CPUTime needs Linux")
	}
	before, began := control.CPUTime(os.Getpid()), control.Now()
	for control.Now()-began < 20e6 {
	}
	if got := control.CPUTime(os.Getpid()) - before; got < 1e6 {
		t.Errorf("got %d ns of CPU time after a loop of 20 ms, want at least 1 ms", got)
	}
	// The number of a process has at most 22 bits, so this process does not exist.
	if got := control.CPUTime(1<<22 + 1); got != 0 {
		t.Errorf("got %d ns for a process that does not exist, want 0", got)
	}
}
