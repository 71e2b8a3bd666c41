package sse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// testKey is the secret key with which the tests compute Entry.Check, a hash of an
// entry.
var testKey = [16]byte{15: 1}

// checkedEntry returns an entry in which every field that Check hashes is set.
func checkedEntry() sse.Entry {
	return sse.Entry{
		Position: sse.Position{Epoch: 1, Seq: 2, Check: 3},
		Time:     time.Date(2025, 2, 28, 12, 30, 0, 123456789, time.UTC),
		Topics:   []string{"ab", "c"},
		Event:    sse.Event{ID: "de", Type: "f", Data: "gh", Retry: time.Second},
	}
}

// The values of Check must not change, because clients and logs on disk have stored
// positions that contain them.
func TestEntryCheckValues(t *testing.T) {
	full, unnamed := checkedEntry(), sse.Entry{Time: time.Unix(0, 0), Topics: []string{""}}
	for _, test := range []struct {
		name  string
		entry sse.Entry
		want  uint32
	}{
		{"full", full, 0x901BAD85},
		{"unnamed", unnamed, 0x96758B2F},
	} {
		if got := test.entry.Check(testKey); got != test.want {
			t.Errorf("%s: got %08X, want %08X", test.name, got, test.want)
		}
	}
}

func TestEntryCheckDiffers(t *testing.T) {
	seen := map[uint32]string{}
	for _, test := range []struct {
		name   string
		change func(*sse.Entry)
	}{
		{"unchanged", func(*sse.Entry) {}},
		{"another number", func(e *sse.Entry) { e.Position.Seq++ }},
		{"a nanosecond later", func(e *sse.Entry) { e.Time = e.Time.Add(1) }},
		{"before 1970", func(e *sse.Entry) { e.Time = time.Unix(-1, 0) }},
		{"another topic", func(e *sse.Entry) { e.Topics[1] = "C" }},
		{"an additional topic", func(e *sse.Entry) { e.Topics = append(e.Topics, "d") }},
		{"an additional unnamed topic", func(e *sse.Entry) { e.Topics = append(e.Topics, "") }},
		{"one topic less", func(e *sse.Entry) { e.Topics = e.Topics[:1] }},
		{"no topic", func(e *sse.Entry) { e.Topics = nil }},
		{"topics in another order", func(e *sse.Entry) { e.Topics = []string{"c", "ab"} }},
		{"topics split elsewhere", func(e *sse.Entry) { e.Topics = []string{"a", "bc"} }},
		{"topics joined", func(e *sse.Entry) { e.Topics = []string{"abc"} }},
		{"a topic moved to the id", func(e *sse.Entry) {
			e.Topics, e.Event.ID, e.Event.Type, e.Event.Data = e.Topics[:1], "c", "de", "fgh"
		}},
		{"another id", func(e *sse.Entry) { e.Event.ID = "dE" }},
		{"no id", func(e *sse.Entry) { e.Event.ID = "" }},
		{"id and type split elsewhere", func(e *sse.Entry) { e.Event.ID, e.Event.Type = "d", "ef" }},
		{"id and type exchanged", func(e *sse.Entry) { e.Event.ID, e.Event.Type = "f", "de" }},
		{"another type", func(e *sse.Entry) { e.Event.Type = "F" }},
		{"no type", func(e *sse.Entry) { e.Event.Type = "" }},
		{"type and data split elsewhere", func(e *sse.Entry) {
			e.Event.Type, e.Event.Data = "fg", "h"
		}},
		{"other data", func(e *sse.Entry) { e.Event.Data = "gH" }},
		{"no data", func(e *sse.Entry) { e.Event.Data = "" }},
		{"an additional NUL", func(e *sse.Entry) { e.Event.Data += "\x00" }},
		{"another retry", func(e *sse.Entry) { e.Event.Retry++ }},
		{"no retry", func(e *sse.Entry) { e.Event.Retry = 0 }},
		{"zero", func(e *sse.Entry) { *e = sse.Entry{Time: time.Unix(0, 0)} }},
	} {
		entry := checkedEntry()
		test.change(&entry)
		if check := entry.Check([16]byte{1}); check == entry.Check(testKey) {
			t.Errorf("%q has the same check with another key: %08X", test.name, check)
		}
		check := entry.Check(testKey)
		if other, ok := seen[check]; ok {
			t.Errorf("%q has the check of %q: %08X", test.name, other, check)
		}
		seen[check] = test.name
	}
}

// Check depends on the content of an entry, and not on how the entry is represented
// in memory. So an entry that is read from a log has the check that it had when it
// was published.
func TestEntryCheckSame(t *testing.T) {
	want := checkedEntry()
	for _, test := range []struct {
		name   string
		change func(*sse.Entry)
	}{
		{"a copy", func(e *sse.Entry) {
			e.Topics = []string{strings.Clone("ab"), strings.Clone("c")}
			e.Event.Data = strings.Clone("gh")
		}},
		{"another epoch", func(e *sse.Entry) { e.Position.Epoch++ }},
		{"no check", func(e *sse.Entry) { e.Position.Check = 0 }},
		{"another time zone", func(e *sse.Entry) {
			e.Time = e.Time.In(time.FixedZone("", 5*60*60))
		}},
		{"time from a number", func(e *sse.Entry) { e.Time = time.Unix(0, e.Time.UnixNano()) }},
	} {
		entry := checkedEntry()
		test.change(&entry)
		if got := entry.Check(testKey); got != want.Check(testKey) {
			t.Errorf("%s: got %08X, want %08X", test.name, got, want.Check(testKey))
		}
	}

	now := time.Now() // has a reading of the monotonic clock; Round(0) removes it
	with, without := sse.Entry{Time: now}, sse.Entry{Time: now.Round(0)}
	if with.Check(testKey) != without.Check(testKey) {
		t.Error("the monotonic clock is part of the check")
	}
}

func TestGapError(t *testing.T) {
	for _, test := range []struct {
		gap  sse.Gap
		want string
	}{
		{sse.Gap{Asked: "~42.gAAAAAAAAAAAAAAA", Available: "~50.gAAAAAAAAAAAAAAA", Why: "trimmed"},
			`sse: gap after "~42.gAAAAAAAAAAAAAAA": trimmed`},
		{sse.Gap{Asked: "a \"b\"\x1B\xFF", Why: "unknown"}, `sse: gap after "a \"b\"\x1b\xff": unknown`},
		{sse.Gap{Asked: strings.Repeat("x", 1000), Why: "unknown"},
			`sse: gap after "` + strings.Repeat("x", 100) + `…": unknown`},
	} {
		var err error = &test.gap
		if got := err.Error(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// A client decodes a Gap from the JSON in the data of an event of type sse.gap.
func TestGapDecode(t *testing.T) {
	want := sse.Gap{Asked: "7", Available: "~1.AAAAAAAAAAEAAAAA", Why: "unknown"}
	got, err := sse.Decode[sse.Gap](sse.Event{
		Type: "sse.gap",
		Data: `{"asked":"7","available":"~1.AAAAAAAAAAEAAAAA","why":"unknown"}`,
	})
	if got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// The window is the part of the log that a broker has in memory. As an EventLog, it
// passes the tests for implementations of EventLog.
func TestWindowIsAnEventLog(t *testing.T) {
	t.Run("topics", func(t *testing.T) { testWindowLog(t, func(*sse.WindowLog) {}) })
	t.Run("entries", func(t *testing.T) { testWindowLog(t, (*sse.WindowLog).SearchEntries) })
}

func testWindowLog(t *testing.T, prepare func(*sse.WindowLog)) {
	ssetest.TestEventLog(t, ssetest.EventLogOptions{
		Open: func(_ testing.TB, setup ssetest.EventLogSetup) sse.EventLog {
			all := sse.Retention{Events: -1, Bytes: -1}
			var rules []sse.TopicRetention
			for _, r := range setup.Retention {
				rule := sse.TopicRetention{Pattern: r.Pattern, Events: r.Entries, Bytes: r.Bytes, Age: r.Age}
				switch {
				case r.Pattern != sse.Pattern{}:
					rules = append(rules, rule)
				case r.Entries > 0:
					all.Events = r.Entries
				case r.Bytes > 0:
					all.Bytes = r.Bytes
				default:
					all.Age = r.Age
				}
			}
			log := sse.NewWindowLog(all, rules, setup.Now)
			prepare(log)
			return log
		},
		ByCount: true, ByBytes: true, ByAge: true, ByPattern: true,
		ExactLost: true, Gapless: true, Contiguous: true, Encoded: true, Bubble: true,
	})
}
