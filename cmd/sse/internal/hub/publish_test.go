package hub_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// testBothLogs runs a test twice: with a hub that stores its events in memory,
// and with a hub that stores them on the disk.
func testBothLogs(t *testing.T, test func(t *testing.T, h *hubtest.Hub)) {
	for _, name := range []string{"memory", "disk"} {
		t.Run(name, func(t *testing.T) {
			config := hub.Config{}
			if name == "disk" {
				config.Data = t.TempDir()
			}
			test(t, hubtest.Start(t, config))
		})
	}
}

// line is one event in a page of history.
type line struct {
	Topics         []string
	ID, Type, Data string
	Retry          int
	Time           string
}

// history returns the events of the page of history at path.
func history(t *testing.T, h *hubtest.Hub, path string, header ...string) []line {
	t.Helper()
	got := h.Do("GET", path, "", append(header, "Accept", "application/json")...)
	if got.StatusCode != 200 {
		t.Fatalf("%s: %d %s", path, got.StatusCode, got.Text)
	}
	var lines []line
	for text := range strings.Lines(got.Text) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %q: %v", path, text, err)
		}
		lines = append(lines, l)
	}
	return lines
}

func dataOf(lines []line) []string {
	all := []string{}
	for _, l := range lines {
		all = append(all, l.Data)
	}
	return all
}

func mustPublish(t *testing.T, h *hubtest.Hub, path, body string, header ...string) string {
	t.Helper()
	got := h.Do("POST", path, body, header...)
	if got.StatusCode != 200 {
		t.Fatalf("POST %s: %d %s", path, got.StatusCode, got.Text)
	}
	return strings.TrimSuffix(got.Text, "\n")
}

func TestPublish(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		id := mustPublish(t, h, "/news", "hello")
		if _, err := sse.ParsePosition(id); err != nil {
			t.Errorf("the response %q is not a position: %v", id, err)
		}
		if id := mustPublish(t, h, "/news,sport?id=mine&type=price&retry=1500", " two\nlines\n"); id != "mine" {
			t.Errorf("the response is %q, want mine, which is the id in the query", id)
		}
		mustPublish(t, h, "/-/publish?topic=a%2Fb%2C*", "")
		mustPublish(t, h, "/news?eol=lf", "a\r\nb\rc")
		got := history(t, h, "/-/events?pattern=**&follow=0")
		for i := range got {
			if got[i].Time == "" {
				t.Errorf("line %d has no time", i)
			}
			got[i].Time = ""
		}
		want := []line{
			{[]string{"news"}, id, "message", "hello", 0, ""},
			{[]string{"news", "sport"}, "mine", "price", " two\nlines\n", 1500, ""},
			{[]string{"a/b,*"}, got[2].ID, "message", "", 0, ""},
			{[]string{"news"}, got[3].ID, "message", "a\nb\nc", 0, ""},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stored\n%+v, want\n%+v", got, want)
		}
	})
}

func TestLargeBody(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	body := strings.Repeat("0123456789", 1_000_000)
	mustPublish(t, h, "/big", body)
	if got := history(t, h, "/big?follow=0"); len(got) != 1 || got[0].Data != body {
		t.Error("the stored data differs from the 10 MB that were published")
	}
	got := h.Do("POST", "/big", body+body)
	if got.StatusCode != 413 {
		t.Errorf("20 MB: %d %s", got.StatusCode, got.Text)
	}
}

func TestIdempotencyKey(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		var wait sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			wait.Go(func() { ids[i] = h.Do("POST", "/news", "once", "Idempotency-Key", "k").Text })
		}
		wait.Wait()
		if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
			t.Errorf("requests with the same key got several ids: %q", ids)
		}
		again := h.Do("POST", "/news", "once", "Idempotency-Key", "k")
		if again.Header.Get("Idempotent-Replayed") != "true" || again.Text != ids[0] {
			t.Errorf("the repeated request: got %v %q, want %q with Idempotent-Replayed: true",
				again.Header, again.Text, ids[0])
		}
		for _, other := range []string{"/news?type=x", "/sport", "/news,sport"} {
			if got := h.Do("POST", other, "once", "Idempotency-Key", "k"); got.StatusCode != 422 {
				t.Errorf("the same key for %s: %d %s, want 422", other, got.StatusCode, got.Text)
			}
		}
		if got := h.Do("POST", "/news", "another", "Idempotency-Key", "k"); got.StatusCode != 422 {
			t.Errorf("the same key for another body: %d %s, want 422", got.StatusCode, got.Text)
		}
		batch := "{\"data\":\"1\"}\n{\"data\":\"2\"}\n"
		first := h.Do("POST", "/-/batch?topic=news", batch, "Idempotency-Key", "b")
		second := h.Do("POST", "/-/batch?topic=news", batch, "Idempotency-Key", "b")
		if first.StatusCode != 200 || first.Text != second.Text {
			t.Errorf("the same batch twice: %q and %q", first.Text, second.Text)
		}
		if got, want := dataOf(history(t, h, "/news?follow=0")), []string{"once", "1", "2"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}

// If two clients with different access keys use the same idempotency key, both events
// are stored.
func TestIdempotencyKeyOwner(t *testing.T) {
	h := hubtest.Start(t, hub.Config{Keys: hubtest.Keys(t,
		"a aaaaaaaaaaaaaaaa publish ** subscribe **", "b bbbbbbbbbbbbbbbb publish **")})
	mustPublish(t, h, "/news", "of a", "Idempotency-Key", "k", "Authorization", "Bearer aaaaaaaaaaaaaaaa")
	mustPublish(t, h, "/news", "of b", "Idempotency-Key", "k", "Authorization", "Bearer bbbbbbbbbbbbbbbb")
	got := dataOf(history(t, h, "/news?follow=0", "Authorization", "Bearer aaaaaaaaaaaaaaaa"))
	if want := []string{"of a", "of b"}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

func TestIdempotencyKeyAfterRestart(t *testing.T) {
	dir := t.TempDir()
	h := hubtest.Start(t, hub.Config{Data: dir})
	id := mustPublish(t, h, "/news", "once", "Idempotency-Key", "k")
	lines := h.Do("PUT", "/log", "1\n2\n", "Idempotency-Key", "k").Text
	h.Stop()
	h = hubtest.Start(t, hub.Config{Data: dir})
	if again := h.Do("PUT", "/log", "1\n2\n", "Idempotency-Key", "k").Text; again != lines {
		t.Errorf("after a restart the response to the lines is %q, want %q", again, lines)
	}
	if again := mustPublish(t, h, "/news", "once", "Idempotency-Key", "k"); again != id {
		t.Errorf("after a restart the id is %q, want %q", again, id)
	}
}

// Each line of a request with an idempotency key is published once, wherever an earlier
// attempt of the request was cut off.
func TestIdempotencyKeyOfLines(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		const lines = "one\ntwo\nthree\n"
		var want []string
		for i := range len(lines) {
			for _, request := range []string{"PUT /log%d", "POST /log%d?split=lines"} {
				topic := len(want)
				want = append(want, "one two three")
				head := fmt.Sprintf(request, topic) + " HTTP/1.1\nIdempotency-Key: k" + fmt.Sprint(topic)
				chunk := fmt.Sprintf("%x\r\n%s\r\nnonsense\r\n", i+1, lines[:i+1])
				if got := h.Raw(head+"\nTransfer-Encoding: chunked", chunk); got.StatusCode != 400 {
					t.Errorf("cut off after %q: %d %s", lines[:i+1], got.StatusCode, got.Text)
				}
				got := h.Raw(withLength(head, lines), lines)
				replayed := ""
				if i == len(lines)-1 {
					replayed = "true"
				}
				if got.StatusCode != 200 || !strings.HasPrefix(got.Text, "kept 3, last id ~") ||
					got.Header.Get("Idempotent-Replayed") != replayed {
					t.Errorf("after %q: %d %s %v, want 200 and kept 3", lines[:i+1], got.StatusCode, got.Text, got.Header)
				}
			}
		}
		for topic := range want {
			got := dataOf(history(t, h, fmt.Sprintf("/log%d?follow=0", topic)))
			if got := strings.Join(got, " "); got != want[topic] {
				t.Errorf("attempt %d: stored %q, want %q", topic, got, want[topic])
			}
		}
		// Line 2 of the request with the key k0 is the same as one event with the key
		// k0#2.
		id := history(t, h, "/log0?follow=0")[1].ID
		if got := h.Do("POST", "/log0", "two", "Idempotency-Key", "k0#2"); got.Text != id+"\n" {
			t.Errorf("the key of line 2: %d %s, want %s", got.StatusCode, got.Text, id)
		}
		got := h.Do("PUT", "/log0", "one\nother\nthree\n", "Idempotency-Key", "k0", "Accept", "application/json")
		if got.StatusCode != 422 || !strings.HasPrefix(got.Text, `{"error":"line 2: the Idempotency-Key was already used`) ||
			!strings.HasSuffix(got.Text, `,"kept":1,"line":2,"status":422}`+"\n") {
			t.Errorf("another line 2: %d %s, want 422", got.StatusCode, got.Text)
		}
		if got := len(history(t, h, "/log0?follow=0")); got != 3 {
			t.Errorf("%d events are stored, want 3", got)
		}
	})
}

// If several requests have the same lines and the same key at the same time, each line
// is published once, and all responses are the same.
func TestIdempotencyKeyOfLinesInUse(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		var wait sync.WaitGroup
		texts := make([]string, 8)
		for i := range texts {
			wait.Go(func() { texts[i] = h.Do("PUT", "/news", "1\n2\n3\n4\n", "Idempotency-Key", "k").Text })
		}
		wait.Wait()
		if slices.Sort(texts); texts[0] != texts[len(texts)-1] || !strings.HasPrefix(texts[0], "kept 4, ") {
			t.Errorf("the responses are %q, want the same ones", texts)
		}
		if got, want := dataOf(history(t, h, "/news?follow=0")), []string{"1", "2", "3", "4"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}

func TestBatch(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		got := h.Do("POST", "/-/batch?topic=news", `{"data":"a"}`+"\r\n\n"+
			`{"data":{"price": 1.50},"type":"price","topics":["x","y/*"],"retry":5}`+"\n"+
			`{"data":"\ud83d\ude00\u0000","id":"mine"}`, "Accept", "application/json")
		if want := `{"id":"mine","kept":3}` + "\n"; got.StatusCode != 200 || got.Text != want {
			t.Errorf("the response is %d %s, want %s", got.StatusCode, got.Text, want)
		}
		lines := history(t, h, "/-/events?pattern=**&follow=0")
		if got, want := dataOf(lines), []string{"a", `{"price": 1.50}`, "😀\x00"}; !slices.Equal(got, want) {
			t.Fatalf("stored %q, want %q", got, want)
		}
		if l := lines[1]; !slices.Equal(l.Topics, []string{"x", "y/*"}) || l.Type != "price" || l.Retry != 5 {
			t.Errorf("the second event is %+v", l)
		}
	})
}

// A PUT publishes each line when it arrives.
func TestLinesAreStreamed(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		body, feed := io.Pipe()
		request := h.Request("PUT", "/log?type=line", "")
		request.Body, request.ContentLength = body, -1
		answer := make(chan string, 1)
		go func() {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answer <- string(text)
		}()
		stream, err := http.DefaultClient.Do(h.Request("GET", "/log?since=earliest", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Body.Close()
		events := bufio.NewScanner(stream.Body)
		for i := range 3 {
			fmt.Fprintf(feed, "line %d\n", i)
			want := fmt.Sprintf("data: line %d", i)
			for events.Scan() && events.Text() != want {
				continue
			}
			if events.Text() != want {
				t.Fatalf("the stream ended before %q: %v", want, events.Err())
			}
		}
		fmt.Fprint(feed, "the end")
		feed.Close()
		if got := <-answer; !strings.HasPrefix(got, "kept 4, last id ~") {
			t.Errorf("the response is %q", got)
		}
	})
}

// If a line of a PUT is invalid, the response contains the number of events that were
// published before that line.
func TestPartOfLines(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		got := h.Do("PUT", "/log", "one\ntwo\nth\rree\nfour\n")
		id := history(t, h, "/log?follow=0")[1].ID
		want := fmt.Sprintf("sse: line 3: the data has a CR at byte 2, and an event stream cannot carry "+
			"a CR; add ?eol=lf to convert line ends to LF; before the error: kept 2, last id %s\n", id)
		if got.StatusCode != 400 || got.Text != want {
			t.Errorf("%d %q, want 400 %q", got.StatusCode, got.Text, want)
		}
		got = h.Do("PUT", "/-/batch?topic=log", "{\"data\":\"three\"}\n{\"data\":\"x\",\"id\":\"~1\"}\n{\"data\":\"y\"}",
			"Accept", "application/json")
		if got.StatusCode != 400 || !strings.HasPrefix(got.Text, `{"error":"line 2: id `) ||
			!strings.HasSuffix(got.Text, `,"kept":1,"line":2,"status":400}`+"\n") {
			t.Errorf("lines of JSON: %d %s", got.StatusCode, got.Text)
		}
		// If a body is cut off within a line, that line is not published.
		answer := h.Raw("PUT /log HTTP/1.1\nTransfer-Encoding: chunked", "5\r\na\nbcd\r\nnonsense\r\n")
		if answer.StatusCode != 400 || !strings.Contains(answer.Text, "before the error: kept 1") {
			t.Errorf("cut off: %d %s", answer.StatusCode, answer.Text)
		}
		if got, want := dataOf(history(t, h, "/log?follow=0")), []string{"one", "two", "three", "a"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}

func TestHistoryPages(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprint(i))
			mustPublish(t, h, "/news,other", fmt.Sprint(i))
			mustPublish(t, h, "/noise", "x")
		}
		var got []string
		path := "/news?follow=0&limit=10"
		for pages := 0; ; pages++ {
			answer := h.Do("GET", path, "", "Accept", "application/json")
			lines := strings.Count(answer.Text, "\n")
			if lines == 0 {
				break
			}
			if lines > 10 || pages > 3 {
				t.Fatalf("page %d has %d lines", pages, lines)
			}
			for text := range strings.Lines(answer.Text) {
				var l line
				_ = json.Unmarshal([]byte(text), &l)
				if !slices.Equal(l.Topics, []string{"news"}) {
					t.Errorf("%s has topics that were not requested", text)
				}
				got = append(got, l.Data)
			}
			path = hubtest.NextPage(t, answer.Response)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the pages have %q, want %q", got, want)
		}
		if got, want := dataOf(history(t, h, "/news?follow=0&since=-3")), want[22:]; !slices.Equal(got, want) {
			t.Errorf("the last three are %q, want %q", got, want)
		}
		if got := dataOf(history(t, h, "/news?follow=0&since=latest")); len(got) != 0 {
			t.Errorf("since latest: %q", got)
		}
		stream := h.Do("GET", "/news?follow=0&since=-1", "").Text
		if !strings.Contains(stream, "\ndata: 24\n") || !strings.HasSuffix(stream, "event: sse.cursor\ndata: \n\n") {
			t.Errorf("the page as an event stream is %q", stream)
		}
	})
}

func TestDelete(t *testing.T) {
	testBothLogs(t, func(t *testing.T, h *hubtest.Hub) {
		first := mustPublish(t, h, "/news", "1")
		mustPublish(t, h, "/news", "2")
		mustPublish(t, h, "/other", "3")
		if got := h.Do("DELETE", "/news", ""); got.StatusCode != 204 {
			t.Fatalf("DELETE: %d %s", got.StatusCode, got.Text)
		}
		mustPublish(t, h, "/news", "4")
		if got, want := dataOf(history(t, h, "/news,other?follow=0")), []string{"3", "4"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
		got := history(t, h, "/news?follow=0", "Last-Event-ID", first)
		if len(got) != 2 || got[0].Type != "sse.gap" || !strings.Contains(got[0].Data, `"why":"trimmed"`) || got[1].Data != "4" {
			t.Errorf("a page after the first event is %+v", got)
		}
		stream := readUntil(t, h, "/news", "4", "Last-Event-ID", first)
		if !strings.Contains(stream, "event: sse.gap\n") {
			t.Errorf("a client that reconnects gets no gap: %q", stream)
		}
		if stream := readUntil(t, h, "/news?since=earliest", "4"); strings.Contains(stream, "sse.gap") {
			t.Errorf("a new client gets a gap: %q", stream)
		}
		if got := h.Do("DELETE", "/-/events?topic=news", ""); got.StatusCode != 204 {
			t.Errorf("DELETE of /-/events: %d %s", got.StatusCode, got.Text)
		}
	})
}

// readUntil subscribes, and returns the text of the stream up to the event with the
// data until. If the status is not 200, it returns the first line of the response.
func readUntil(t *testing.T, h *hubtest.Hub, path, until string, header ...string) string {
	t.Helper()
	response, err := http.DefaultClient.Do(h.Request("GET", path, "", header...))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var all strings.Builder
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		fmt.Fprintln(&all, lines.Text())
		if response.StatusCode != 200 || lines.Text() == "data: "+until {
			return all.String()
		}
	}
	t.Fatalf("%s ended before %q: %q", path, until, all.String())
	return ""
}

// However many idempotency keys a client uses, the hub remembers the keys of other
// clients. If it removes keys of a client before they are too old, it logs a warning,
// at most once in an hour.
func TestIdempotencyKeysPerOwner(t *testing.T) {
	const limit = 10
	var logged strings.Builder
	now := time.Unix(1_800_000_000, 0)
	c := hub.NewRequestCache(24*time.Hour, limit, slog.New(slog.NewTextHandler(&logged, nil)),
		func() time.Time { return now })
	publish := func(owner, key string, want bool) {
		t.Helper()
		if replayed, err := c.Publish(t.Context(), owner, key); err != nil || replayed != want {
			t.Errorf("%s, %s: replayed %t, %v, want %t", owner, key, replayed, err, want)
		}
	}
	publish("quiet", "order-1", false)
	for i := range 3 * limit {
		publish("busy", fmt.Sprint(i), false)
	}
	publish("quiet", "order-1", true)
	publish("busy", fmt.Sprint(3*limit-1), true)
	publish("busy", fmt.Sprint(2*limit), true)
	reports := func(want int) {
		t.Helper()
		if n := strings.Count(logged.String(), "access key busy used more than 10 idempotency keys"); n != want ||
			strings.Contains(logged.String(), "quiet") {
			t.Errorf("%d reports, want %d:\n%s", n, want, logged.String())
		}
	}
	reports(1)
	now = now.Add(time.Hour)
	for i := range 3 {
		publish("busy", fmt.Sprint("later ", i), false)
	}
	reports(2)
	now = now.Add(24 * time.Hour)
	publish("quiet", "order-1", false)
	if n := c.Owners(); n != 1 {
		t.Errorf("%d owners have keys, want 1", n)
	}
}
