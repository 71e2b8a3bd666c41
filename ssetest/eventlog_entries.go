package ssetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

const (
	whyContent = "a subscriber that resumes would get another event than one that was there; " +
		"and its checksum would be another, so that no position were good after that"
	whyForeign = "subscribers would get what they have not asked for, perhaps must not see, or " +
		"miss what they have"
)

var entryCases = []eventLogCase{
	{
		name:    "entries/as-published",
		promise: "an entry comes back as it was published, every byte of it",
		why:     whyContent,
		run: func(k *kit) {
			l := k.open()
			for _, event := range k.strangeEvents() {
				entry := k.entry("", "a")
				entry.Event = event
				l.append(entry)
			}
			for _, entry := range l.all {
				after := sse.Position{Seq: entry.Position.Seq - 1}
				page := l.read(after, entry.Position, topics("a"), plenty)
				k.same("the entry", page.Entries, []sse.Entry{entry})
			}
			k.same("what Follow shows", l.follow(sse.Position{}).take(len(l.all)), l.all)
			for _, entry := range l.all {
				if got, want := entry.Position.Check, entry.Check(); got != want {
					k.found("the check of data "+quote(entry.Event.Data), got, want)
				}
			}
		},
	},
	{
		name:    "entries/time",
		promise: "an entry's Time is kept, in nanoseconds",
		why:     whyContent,
		run: func(k *kit) {
			l := k.open()
			for _, nano := range []int64{0, 1, 999, 1_000_001, 123_456_789, 999_999_999} {
				entry := k.entry("at a time", "a")
				entry.Time = entry.Time.Truncate(time.Second).Add(time.Duration(nano))
				l.append(entry)
			}
			// Times are kept, also those that go back: clocks do.
			back := k.entry("earlier", "a")
			back.Time = back.Time.Add(-time.Minute).In(time.FixedZone("elsewhere", 3600))
			l.append(back)
			k.same("what Read shows", l.kept(topics("a")), l.all)
		},
	},
	{
		name: "entries/topics",
		promise: "a topic is any UTF-8 text without controls, of up to 1024 bytes; only the very " +
			"same text selects it",
		why: whyForeign,
		run: func(k *kit) {
			l := k.open()
			names := strangeTopics()
			for _, name := range names {
				l.append(k.entry("on "+quote(name), name))
			}
			for i, name := range names {
				k.same("topic "+quote(name), l.kept(topics(name)), l.all[i:i+1])
			}
			k.same("all of them", l.kept(topics(names...)), l.all)
			k.same("what Follow shows", l.follow(sse.Position{}).take(len(l.all)), l.all)
		},
	},
	{
		name:    "entries/two-topics",
		promise: "an event with several topics is one entry, which each of them selects once",
		why:     "a subscriber of both topics would get the event twice, or one of one never",
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
				l.selects(c.sel, c.want)
			}
			k.same("what Follow shows", l.follow(sse.Position{}).take(len(l.all)), l.all)
		},
	},
	{
		name: "entries/selection",
		promise: "Read returns the entries that the selection matches, in the order of the log: " +
			"exact topics, patterns, or, by default, events without a topic",
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
		l.selects(c.sel, c.want)
	}
}

// selects checks which entries, by their data, a selection gets, in pages of any
// size.
func (l *tested) selects(sel sse.Selection, datas string) {
	var want []sse.Entry
	for _, data := range strings.Fields(datas) {
		for _, entry := range l.all {
			if entry.Event.Data == data {
				want = append(want, entry)
			}
		}
	}
	for _, limit := range []int{plenty, 1} {
		l.same(fmt.Sprintf("%s, in pages of %d bytes", show(sel), limit),
			l.readAll(sse.Position{}, sse.Position{}, sel, limit), want)
	}
}

func (k *kit) strangeEvents() []sse.Event {
	events := strangeEvents()
	if k.opts.Encoded {
		for i := range events {
			e := &events[i]
			e.Data = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(e.Data)
			e.Retry = e.Retry.Truncate(time.Millisecond)
		}
	}
	return events
}

func strangeEvents() []sse.Event {
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

func strangeTopics() []string {
	return []string{
		"", " ", "a", "A", " a", "a ", "/", "//", "/a", "a/", "a/a", "*", "**", "a/*", "*/a",
		"a*", "?", "+", "#", ">", "a.>", "a.b", ".", "..", "%2F", "%", `"quoted"`, "'", "`", `\`,
		"a,b", "a;b", "a=b&c", "$", "$SYS", "{a}", "<a>", "~1", "-1", "0", "00", "null", "true",
		"é", "e\u0301", "ünï/çødé", "日本語", "\U0001F600", "\u2028", "\u200b", "\uFFFD",
		strings.Repeat("x", 1024), strings.Repeat("x", 1023), strings.Repeat("x/", 512),
		strings.Repeat("é", 512),
	}
}
