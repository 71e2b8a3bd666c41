package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sse-go/sse/internal/compare/control"
)

// chunked encodes each piece as a chunk.
func chunked(pieces ...string) string {
	var b strings.Builder
	for _, p := range pieces {
		fmt.Fprintf(&b, "%X\r\n%s\r\n", len(p), p)
	}
	return b.String()
}

const (
	plainHeader   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	chunkedHeader = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
)

func data(wave int64) string {
	return "data: " + string(control.AppendEvent(nil, control.Event{Wave: wave, Sent: 1}, 100)) + "\n"
}

var streams = []struct {
	name, stream string
	want         []int64 // numbers of the received waves
	err          string
}{
	{"plain", plainHeader + data(1) + "\n" + data(2) + "\n", []int64{1, 2}, ""},
	{"plain, CRLF", plainHeader + strings.ReplaceAll(data(1)+"\n"+data(2)+"\n", "\n", "\r\n"),
		[]int64{1, 2}, ""},
	{"chunked", chunkedHeader + chunked(data(1)+"\n", data(2)+"\n"), []int64{1, 2}, ""},
	{"two in a chunk", chunkedHeader + chunked(data(1)+"\n"+data(2)+"\n"), []int64{1, 2}, ""},
	{"a chunk for each line", chunkedHeader + chunked("id: 1\n", data(1), "\n", data(2), "\n"),
		[]int64{1, 2}, ""},
	{"cut in a line", chunkedHeader + chunked(data(1)[:20], data(1)[20:]+"\n"), []int64{1}, ""},
	{"comments, ids, types", chunkedHeader + chunked(": hi\n\n", "retry: 3\nid: 7\n\n",
		"id: 1\nevent: update\n"+data(1)+": x\n\n"), []int64{1}, ""},
	{"type after data", plainHeader + data(1) + "event: update\n\n", []int64{1}, ""},
	{"types sse.* are hidden", plainHeader + "event: sse.cursor\nid: 3\ndata:\n\n" +
		"event:sse.x\n" + data(8) + "\n" + data(9) + "event: sse.y\n\n" + data(1) + "\n",
		[]int64{1}, ""},
	{"wrapped in JSON", plainHeader + `data:{"pub":{"data":"` + data(1)[6:105] + "\"}}\n\n" +
		"data:{}\n\n", []int64{1}, ""},
	{"unfinished", plainHeader + data(1) + "\n" + data(2), []int64{1}, ""},
	{"ended", chunkedHeader + chunked(data(1)+"\n") + "0\r\n\r\n", []int64{1}, "ended the stream"},
	{"refused", "HTTP/1.1 503 Unavailable\r\n\r\n", nil, `"http/1.1 503 unavailable", want 200`},
	{"no size", chunkedHeader + "data: 1\n\n", nil, `must be hexadecimal, but has 't'`},
	{"a longer chunk", chunkedHeader + "1\r\n\nx", nil, "follows the end of a chunk"},
}

// The result is the same if a stream arrives as a whole, byte by byte, or in two
// pieces that are cut at any offset.
func TestFeed(t *testing.T) {
	for _, test := range streams {
		t.Run(test.name, func(t *testing.T) {
			for cut := -1; cut < len(test.stream); cut++ {
				pieces := []string{test.stream[:max(cut, 0)], test.stream[max(cut, 0):]}
				if cut < 0 {
					pieces = strings.Split(test.stream, "")
				}
				var s subscriber
				var got []int64
				var err error
				for _, p := range pieces {
					if err == nil {
						err = s.feed([]byte(p), func(s *subscriber) { got = append(got, s.event.Wave) })
					}
				}
				if !slices.Equal(got, test.want) {
					t.Fatalf("cut at %d: got events %v, want %v", cut, got, test.want)
				}
				if text := fmt.Sprint(err); (err != nil) != (test.err != "") ||
					!strings.Contains(text, test.err) {
					t.Fatalf("cut at %d: got error %v, want %q", cut, err, test.err)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	one := checker{topic: 3}
	all := checker{topic: allTopics, lasts: make([]int64, 2)}
	for i, test := range []struct {
		checker     *checker
		topic, wave int64
		want        string
	}{
		{&one, 3, 1, ""},
		{&one, 3, 2, ""},
		{&one, 3, 2, "repeated or out of order: event 2 of topic 3 follows 2"},
		{&one, 3, 1, "repeated or out of order: event 1 of topic 3 follows 2"},
		{&one, 3, 4, "lost: event 4 of topic 3 follows 2"},
		{&one, 3, 5, ""},
		{&one, 2, 6, "received an event of topic 2 as a subscriber of topic 3"},
		{&all, 0, 1, ""},
		{&all, 1, 1, ""},
		{&all, 0, 2, ""},
		{&all, 1, 3, "lost: event 3 of topic 1 follows 1"},
		{&all, 2, 1, "received an event of topic 2 as a subscriber of topic -1"},
	} {
		err := test.checker.check(control.Event{Topic: int(test.topic), Wave: test.wave})
		if err == nil {
			err = errors.New("")
		}
		if err.Error() != test.want {
			t.Errorf("%d: got %q, want %q", i, err, test.want)
		}
	}
}

func TestWaves(t *testing.T) {
	w := &waves{each: 2}
	for _, test := range []struct {
		wave    int64
		ok      bool
		reached int64
	}{
		{1, true, 0}, {2, true, 0}, {2, true, 0}, {1, true, 2}, {2, false, 2}, {3, true, 2},
		{3 + 1<<16, false, 2}, {2 + 1<<16, true, 2}, {3, true, 3},
	} {
		ok := w.add(test.wave)
		w.advance()
		if ok != test.ok || w.reached != test.reached {
			t.Errorf("wave %d: got %v and reached %d, want %v and %d",
				test.wave, ok, w.reached, test.ok, test.reached)
		}
	}
}
