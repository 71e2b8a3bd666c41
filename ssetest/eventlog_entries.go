package ssetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyContent = "a subscriber that resumes would receive a different event than a subscriber " +
		"that was connected; and if the check of a position depends on the content, it would no " +
		"longer match, so that a client could not resume from this position"
	whyForeign = "subscribers would miss events that they selected, or would receive events that " +
		"they did not select and perhaps must not see"
)

var entryCases = []eventLogCase{
	{
		name:    "entries/unchanged",
		promise: "Read and Follow return an entry exactly as it was appended, byte for byte",
		why:     whyContent,
		run: func(k *kit) {
			l := k.open()
			for _, event := range k.unusualEvents() {
				entry := k.entry("", "a")
				entry.Event = event
				l.append(entry)
			}
			for _, entry := range l.appended {
				after := sse.Position{Seq: entry.Position.Seq - 1}
				page := l.read(after, entry.Position, topics("a"), unlimited)
				k.equalEntries("the entry from Read", page.Entries, []sse.Entry{entry})
			}
			k.equalEntries("the entries from Follow", l.follow(sse.Position{}).take(len(l.appended)),
				l.appended)
		},
	},
	{
		name:    "entries/check",
		promise: "the Check of a position depends on the entry's number and on a secret of the log",
		why: "a subscriber of one topic receives positions of events of other topics, and could " +
			"find out what these events contain, or which of them are the same",
		run: func(k *kit) {
			// All entries are equal, even in their times.
			entry, checks := k.entry("the same", "a"), map[uint32]int{}
			const logs, entries = 4, 4
			for range logs {
				l := k.open()
				for range entries {
					checks[l.append(entry)[0].Position.Check]++
				}
			}
			// The checks of a correct log look like random numbers of 32 bits. Two of 16
			// such numbers are equal in one of 36 million runs.
			if len(checks) < logs*entries {
				k.fail(fmt.Sprintf("the checks of %d equal entries in each of %d logs", entries, logs),
					fmt.Sprintf("%d different checks", len(checks)), logs*entries)
			}
		},
	},
	{
		name:    "entries/time",
		promise: "the log stores the Time of an entry with a precision of nanoseconds",
		why:     whyContent,
		run: func(k *kit) {
			l := k.open()
			for _, nano := range []int64{0, 1, 999, 1_000_001, 123_456_789, 999_999_999} {
				entry := k.entry("at a time", "a")
				entry.Time = entry.Time.Truncate(time.Second).Add(time.Duration(nano))
				l.append(entry)
			}
			// An entry may have an earlier time than the entry before it, because clocks
			// are sometimes set back.
			earlier := k.entry("earlier", "a")
			earlier.Time = earlier.Time.Add(-time.Minute).In(time.FixedZone("elsewhere", 3600))
			l.append(earlier)
			k.equalEntries("the entries from Read", l.readAll(topics("a")), l.appended)
		},
	},
	{
		name: "entries/topics",
		promise: "a topic is any UTF-8 text of at most 1024 bytes without control characters; " +
			"only the identical text selects it",
		why: whyForeign,
		run: func(k *kit) {
			l := k.open()
			names := unusualTopics()
			for _, name := range names {
				l.append(k.entry("on "+quote(name), name))
			}
			for i, name := range names {
				k.equalEntries("the entries of topic "+quote(name), l.readAll(topics(name)),
					l.appended[i:i+1])
			}
			k.equalEntries("the entries of all topics", l.readAll(topics(names...)), l.appended)
			k.equalEntries("the entries from Follow", l.follow(sse.Position{}).take(len(l.appended)),
				l.appended)
		},
	},
	{
		name: "entries/two-topics",
		promise: "an event with several topics is one entry: each of its topics selects it, and " +
			"a selection of several of these topics returns it once",
		why: "a subscriber of two topics would receive the event twice, or a subscriber of one " +
			"topic would never receive it",
		run: func(k *kit) {
			l := k.open()
			l.append(k.entry("1", "a"), k.entry("2", "a", "b"), k.entry("3", "b"),
				k.entry("4", "b", "a"), k.entry("5", "room/1", "a", "room/2"))
			for _, c := range []struct {
				sel  sse.Selection
				want string
			}{
				{topics("a"), "1 2 4 5"},
				{topics("b"), "2 3 4"},
				{topics("a", "b"), "1 2 3 4 5"},
				{topics("room/2"), "5"},
				{patterns("room/*"), "5"},
				{patterns("room/*", "a"), "1 2 4 5"},
				{everything, "1 2 3 4 5"},
			} {
				l.checkSelection(c.sel, c.want)
			}
			k.equalEntries("the entries from Follow", l.follow(sse.Position{}).take(len(l.appended)),
				l.appended)
		},
	},
	{
		name: "entries/selection",
		promise: "Read returns the entries that the selection matches, in the order of the log; " +
			"a selection consists of exact topics and patterns, and an empty selection matches " +
			"events without a topic",
		why: whyForeign,
		run: entriesSelection,
	},
}

func entriesSelection(k *kit) {
	l := k.open()
	l.append(k.entry("1", "room/1"), k.entry("2"), k.entry("3", "room/2"), k.entry("4", "room"),
		k.entry("5", "room/1/x"), k.entry("6", "*"), k.entry("7", "room/1"), k.entry("8", "**"),
		k.entry("9", "room/"), k.entry("10", "room/*"), k.entry("11"), k.entry("12", "rooms/1"))
	for _, c := range []struct {
		sel  sse.Selection
		want string
	}{
		{topics("room/1"), "1 7"},
		{topics("room/2", "room/1", "no such"), "1 3 7"},
		{topics("*"), "6"},
		{topics("room/*"), "10"},
		{topics(""), "2 11"},
		{topics("", "room"), "2 4 11"},
		{topics("no such"), ""},
		{topics("Room/1"), ""},
		{sse.Selection{}, "2 11"},
		{patterns("room/*"), "1 3 7 9 10"},
		{patterns("room/**"), "1 3 5 7 9 10"},
		{patterns("*"), "2 4 6 8 11"},
		{patterns("*/1"), "1 7 12"},
		{patterns("*/*/*"), "5"},
		{patterns("**"), "1 2 3 4 5 6 7 8 9 10 11 12"},
		{patterns("room"), "4"},
		{patterns("room/*", "room/**", "*"), "1 2 3 4 5 6 7 8 9 10 11"},
		{patterns("rooms/2"), ""},
		{sse.Selection{Topics: []string{"rooms/1", "room/1"},
			Patterns: patterns("room/*").Patterns}, "1 3 7 9 10 12"},
	} {
		l.checkSelection(c.sel, c.want)
	}
}

// checkSelection checks that sel selects the entries whose data is listed in datas,
// separated by spaces. It reads all entries in one page, and then entry by entry.
func (l *testLog) checkSelection(sel sse.Selection, datas string) {
	var want []sse.Entry
	for _, data := range strings.Fields(datas) {
		for _, entry := range l.appended {
			if entry.Event.Data == data {
				want = append(want, entry)
			}
		}
	}
	for _, limit := range []int{unlimited, 1} {
		l.equalEntries(fmt.Sprintf("the entries for %s, in pages of %d bytes", showSelection(sel),
			limit),
			l.readPages(sse.Position{}, sse.Position{}, sel, limit), want)
	}
}

// unusualEvents returns the events of the function unusualEvents. If the log is
// Encoded, it first changes the events to a form that encoding does not change.
func (k *kit) unusualEvents() []sse.Event {
	events := unusualEvents()
	if k.opts.Encoded {
		for i := range events {
			e := &events[i]
			e.Data = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(e.Data)
			e.Retry = e.Retry.Truncate(time.Millisecond)
		}
	}
	return events
}

// unusualEvents returns events with contents that a log might change by mistake, for
// example line ends or bytes that are not UTF-8.
func unusualEvents() []sse.Event {
	return []sse.Event{
		{},
		{Data: "hello"},
		{Data: " leading and trailing  "},
		{Data: "two\nlines"},
		{Data: "\n"},
		{Data: "\n\nempty lines\n\n"},
		{Data: "CR\rCRLF\r\nLF\n"},
		{Data: "data: id: event: :"},
		{Data: "NUL \x00, DEL \x7f, BOM \uFEFF, U+FFFD \uFFFD, \U0001F600, \u2028"},
		{Data: "not UTF-8: \xff\xc3"},
		{Data: `{"json":"\u0000 \" \\"}`},
		{Data: strings.Repeat("0123456789abcdef", 1<<16)},
		{ID: "own id", Type: "type", Data: "with everything", Retry: 1500 * time.Millisecond},
		{ID: " spaces ", Type: " spaces ", Retry: 1},
		{ID: "~0.not-a-position", Type: "тип"},
		{ID: strings.Repeat("i", 2000), Type: strings.Repeat("t", 2000)},
		{Retry: 1<<63 - 1},
		{Data: "{}"},
	}
}

// unusualTopics returns distinct topics that a log might confuse, for example
// because they contain wildcards or separators.
func unusualTopics() []string {
	return []string{
		"", " ", "a", "A", " a", "a ", "/", "//", "/a", "a/", "a/a", "*", "**", "a/*", "*/a",
		"a*", "?", "+", "#", ">", "a.>", "a.b", ".", "..", "%2F", "%", `"quoted"`, "'", "`", `\`,
		"a,b", "a;b", "a=b&c", "$", "$SYS", "{a}", "<a>", "~1", "-1", "0", "00", "null", "true",
		"é", "e\u0301", "ünï/çødé", "日本語", "\U0001F600", "\u2028", "\u200b", "\uFFFD",
		strings.Repeat("x", 1024), strings.Repeat("x", 1023), strings.Repeat("x/", 512),
		strings.Repeat("é", 512),
	}
}
