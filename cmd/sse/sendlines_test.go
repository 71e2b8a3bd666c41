package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// runSend runs "sse send" with these arguments. It returns the exit code and
// the output, with ID in place of each ID that a hub has assigned.
func runSend(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"send"}, args...), noEnv, stdin, &out, &err)
	id := regexp.MustCompile(`~\d+\.[\w-]+`)
	return code, id.ReplaceAllString(out.String(), "ID"), id.ReplaceAllString(err.String(), "ID")
}

// storedData returns the data of the events that a hub stores for a topic.
func storedData(t *testing.T, h *hubtest.Hub, topic string) []string {
	t.Helper()
	page := h.Do("GET", "/"+topic+"?follow=0", "", "Accept", "application/json").Text
	data := []string{}
	for decoder := json.NewDecoder(strings.NewReader(page)); ; {
		var event struct{ Data string }
		if err := decoder.Decode(&event); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return data
		}
		data = append(data, event.Data)
	}
}

// If a line cannot be published, the lines before it are published, and with
// --invalid skip or replace the lines after it, too.
func TestSendInvalidLines(t *testing.T) {
	h := hubtest.Start(t, hub.Config{MaxEvent: 100})
	const (
		orReplace = "sse: hint: to continue after such a line, use --invalid skip or --invalid replace\n"
		onlySkip  = "sse: hint: to continue after such a line, use --invalid skip\n"
		large     = "an event must have at most 100 bytes on the wire, including 7 for each line of its data; " +
			"the hub's flag --max-event-size sets this limit"
	)
	long := strings.Repeat("x", 94)
	for i, test := range []struct {
		name, input, flags string
		stored             []string
		code               int
		stdout, stderr     string
	}{
		{"stop at a line that is not UTF-8", "one\ntwo\ncaf\xe9\nfour\n", "",
			[]string{"one", "two"}, 1, "",
			"sse: line 3: must be UTF-8; before the error: kept 2, last ID ID\n" + orReplace},
		{"stop at the first line", "\xe9\ntwo\n", "--invalid stop", nil, 1, "",
			"sse: line 1: must be UTF-8; before the error: kept 0\n" + orReplace},
		{"stop at the last line, without LF", "one\n\xe9", "", []string{"one"}, 1, "",
			"sse: line 2: must be UTF-8; before the error: kept 1, last ID ID\n" + orReplace},
		{"stop at a CR", "one\na\rb\nthree\n", "", []string{"one"}, 1, "",
			"sse: line 2: must not have a CR (at byte 1), because an event stream cannot carry a CR; " +
				"before the error: kept 1, last ID ID\nsse: hint: to replace each CR with LF, use --eol lf\n"},
		{"stop at a line that the hub refuses", "one\ntwo\n" + long + "\nfour\n", "",
			[]string{"one", "two"}, 1, "",
			"sse: line 3: " + large + "; before the error: kept 2, last ID ID\n" + orReplace},
		{"stop at the second of two wrong lines", "one\n" + long + "\n\xe9\nfour\n", "",
			[]string{"one"}, 1, "",
			"sse: line 2: " + large + "; before the error: kept 1, last ID ID\n" + orReplace},
		{"skip", "one\n\xe9\nthree\n" + long + "\nfive\na\rb\n" + long + "\n", "--invalid skip",
			[]string{"one", "three", "five"}, 0, "ID\n",
			"sse: line 2 skipped: must be UTF-8\nsse: skipped 4 lines\n"},
		{"skip a line that the hub refuses", long + "\none\n", "--invalid skip",
			[]string{"one"}, 0, "ID\n", "sse: line 1 skipped: " + large + "\n"},
		{"skip all", "\xe9\n\xe9\n", "--invalid skip", nil, 0, "",
			"sse: line 1 skipped: must be UTF-8\nsse: skipped 2 lines\n"},
		{"replace", "one\ncaf\xe9s\na\rb\n\xff\xfe", "--invalid replace",
			[]string{"one", "caf\ufffds", "a\ufffdb", "\ufffd"}, 0, "ID\n",
			"sse: line 2: replaced bytes that an event stream cannot carry with U+FFFD\n" +
				"sse: replaced bytes that an event stream cannot carry in 3 lines\n"},
		{"replace, and convert line ends", "a\rb\xff\n", "--invalid replace --eol lf",
			[]string{"a\nb\ufffd"}, 0, "ID\n",
			"sse: line 1: replaced bytes that an event stream cannot carry with U+FFFD\n"},
		{"replace does not shorten a line", "one\n" + long + "\nthree\n", "--invalid replace",
			[]string{"one"}, 1, "",
			"sse: line 2: " + large + "; before the error: kept 1, last ID ID\n" + onlySkip},
		{"no wrong line", "one\r\n\ntwo", "", []string{"one", "", "two"}, 0, "ID\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			topic := fmt.Sprintf("topic%d", i)
			args := append(strings.Fields(test.flags), "--lines", h.Addr+"/"+topic)
			code, stdout, stderr := runSend(t, strings.NewReader(test.input), args...)
			if code != test.code || stdout != test.stdout || stderr != test.stderr {
				t.Errorf("exit code %d, stdout %q, stderr\n%swant %d, %q,\n%s",
					code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if got := storedData(t, h, topic); !slices.Equal(got, test.stored) {
				t.Errorf("the hub stores %q, want %q", got, test.stored)
			}
		})
	}
}

// If reading stdin fails, the complete lines before the failure are published. The
// incomplete last line is not published.
func TestSendLinesFromBrokenStdin(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	stdin := io.MultiReader(strings.NewReader("one\ntwo\nthr"), iotest.ErrReader(errors.New("disk failed")))
	code, _, stderr := runSend(t, stdin, "--lines", h.Addr+"/news")
	want := "sse: cannot read stdin: disk failed; before the error: kept 2, last ID ID\n"
	if code != exitFailed || stderr != want {
		t.Errorf("exit code %d, %q, want 1, %q", code, stderr, want)
	}
	if got := storedData(t, h, "news"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("the hub stores %q, want one and two", got)
	}
}

// Lines that are too large for one batch are published in several batches.
func TestSendLongLines(t *testing.T) {
	h := hubtest.Start(t, hub.Config{})
	want := []string{}
	for i := range 5 {
		want = append(want, strings.Repeat(string(rune('a'+i)), 6<<20), "short")
	}
	code, _, stderr := runSend(t, strings.NewReader(strings.Join(want, "\n")), "--lines", h.Addr+"/news")
	if code != exitDone {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	var sizes []int
	for i := range want {
		page := h.Do("GET", fmt.Sprintf("/news?follow=0&limit=1&since=-%d", len(want)-i), "").Text
		_, data, _ := strings.Cut(page, "data: ")
		data, _, _ = strings.Cut(data, "\n")
		if data != want[i] {
			sizes = append(sizes, len(data))
		}
	}
	if len(sizes) > 0 {
		t.Errorf("wrong events, of %d bytes", sizes)
	}
}

// If an error is not caused by a line, the command ends, even with --invalid skip. Its
// message contains the number of lines that were published before the error.
func TestSendLinesToBrokenServer(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 {
			fmt.Fprint(w, `{"id":"a7","kept":1000}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"key k may not publish","line":1,"status":403}`)
	}))
	defer server.Close()
	stdin := strings.NewReader(strings.Repeat("x\n", 1001))
	for _, invalid := range []string{"stop", "skip", "replace"} {
		_, _ = stdin.Seek(0, io.SeekStart)
		requests = 0
		code, stdout, stderr := runSend(t, stdin, "--invalid", invalid, "--lines", server.URL+"/news")
		want := "sse: key k may not publish; before the error: kept 1000, last ID a7\n"
		if code != exitFailed || stdout != "" || stderr != want {
			t.Errorf("exit code %d, stdout %q, stderr %q, want 1, nothing, %q", code, stdout, stderr, want)
		}
	}
}
