package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A generator whose requests each take 300 µs of CPU time has half a core in the long
// run. It cannot make up for a pause of ten seconds.
func TestThrottle(t *testing.T) {
	const second = int64(time.Second)
	th := throttle{share: 0.5}
	now, cpu := int64(0), int64(0)
	for _, want := range []int64{10 * second / 2, second / 2} {
		before := cpu
		for end := now + 2*want; now < end; {
			now += int64(th.pause(now, cpu))
			now, cpu = now+300e3, cpu+300e3
		}
		if used := cpu - before; used < want*99/100 || used > want+int64(burst)+600e3 {
			t.Errorf("the generator uses %v, want %v", time.Duration(used), time.Duration(want))
		}
		now += 10 * second
	}
	for i := range int64(100) { // 4 ms of CPU time in each 10 ms
		if d := th.pause(now+i*10e6, cpu+i*4e6); d != 0 {
			t.Fatalf("request %d: the pause is %v, want 0", i, d)
		}
	}
}

func TestTable(t *testing.T) {
	turnOf := func(ms int64, used tally) turn {
		v := turn{cpu: 0.25, peak: 64 << 20, used: used}
		v.latency.Add(ms * 1e6)
		return v
	}
	f := &flood{name: "x", words: "words", unit: "requests"}
	for _, test := range []struct {
		flooded       []int64 // latencies in ms; they are 2 ms without the flood
		used          tally
		want, verdict string
	}{
		{[]int64{6}, tally{Units: 900, Answered: 300, Refused: 75, Failed: 100, Error: "e", Seconds: 2, CPU: 0.9},
			"| x: words | 2.00 → 6.00 | 2.00 → 6.00 | 3.00 | – | 0.25 | 64 | " +
				"450 requests/s, 18.8 % refused, 25.0 % failed (e) | 0.45 |", "Not within the limit: x."},
		{[]int64{6, 2, 2, 4, 12, 4}, tally{Units: 2000, Seconds: 1, CPU: 0.1},
			"| x: words | 2.00 → 4.00 | 2.00 → 4.00 | 2.00 | 1.00–6.00 | 0.25 | 64 | 2,000 requests/s | 0.10 |",
			"Each flood is within the limit."},
	} {
		r := &row{flood: f}
		for _, ms := range test.flooded {
			r.idle, r.flooded = append(r.idle, turnOf(2, tally{})), append(r.flooded, turnOf(ms, test.used))
		}
		if got := r.String(); got != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
		text, ok := verdict([]*row{r})
		if !strings.HasSuffix(text, test.verdict+"**") || ok != r.within() {
			t.Errorf("got %q, %t, want %q", text, ok, test.verdict)
		}
	}
	failed := &row{flood: f, err: errors.New("a | b\nc")}
	if got, want := failed.String(), "| x: words | failed: a / b c |"; got != want || failed.within() {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestList(t *testing.T) {
	w := &worker{generator: &generator{addr: "h"}, number: 7, n: 9}
	for _, test := range []struct{ format, want string }{
		{"a=%[2]d/%[3]d/%[1]d", "a=7/9/0&a=7/9/1"},
		{"a=%04[1]d", "a=0000&a=0001"},
	} {
		if got := w.list(2, test.format); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
