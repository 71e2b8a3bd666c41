package api_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// Each of these lines is refused, with POST and with PUT. It is the second of three
// lines: PUT publishes the first, and POST publishes nothing.
func TestBatchLinesRefused(t *testing.T) {
	const (
		example   = `must be an event as JSON, for example {"topics":["news"],"data":"hello"}: `
		half      = `must not have half a surrogate pair, for example "\ud800"`
		data      = `must have "data" that is not null`
		after     = "must have nothing after the JSON of the event"
		retry     = "retry must be a number of milliseconds from 1 to 86400000"
		noTopic   = `must name a topic: add "topics" to the line, or ?topic=NAME to the URL`
		forbidden = `key k may not publish to "x"`
	)
	for _, test := range []struct{ line, want string }{
		{"x", "400 " + example + "invalid character 'x' looking for beginning of value"},
		{"[1]", "400 " + example + "cannot unmarshal array into Go value of type api.batchLine"},
		{`{"datum":"x"}`, "400 " + example + `unknown field "datum"`},
		{`{"data":"x","x":"y"}`, "400 " + example + `unknown field "x"`},
		{`{"data":"x"} x`, "400 " + after},
		{`{"data":"x"}{}`, "400 " + after},
		{`{"data":"x"}}`, "400 " + after},
		{`{"retry":1,"data":"x"} x`, "400 " + after},
		{`{"data":"\ud800"}`, "400 " + half},
		{`{"data":"\udbff"}`, "400 " + half},
		{`{"data":"\uD8AF"}`, "400 " + half},
		{`{"data":"\udc00"}`, "400 " + half},
		{`{"data":"\udfff"}`, "400 " + half},
		{`{"data":"\uDFFF"}`, "400 " + half},
		{`{"data":"\ud900"}`, "400 " + half},
		{`{"data":"\ud83dx"}`, "400 " + half},
		{`{"data":"\ud83dxudc00"}`, "400 " + half},
		{`{"data":"\ud83d\ndc00"}`, "400 " + half},
		{`{"data":"\ud83d\u1c00"}`, "400 " + half},
		{`{"data":"\udc00\udc00"}`, "400 " + half},
		{`{"data":"\uda00"}`, "400 " + half},
		{`{"data":"\uDB00"}`, "400 " + half},
		{`{"data":"\ud83d\u0041"}`, "400 " + half},
		{`{"data":"\ud83d\ud83d\ude00"}`, "400 " + half},
		{`{"data":"\ud83d\ude00\ude00"}`, "400 " + half},
		{`{"data":"a\n\u0041\\\ud800"}`, "400 " + half},
		{`{"data":"x","id":"\ud800"}`, "400 " + half},
		{`{}`, "400 " + data},
		{`{"data":null}`, "400 " + data},
		{`{"topics":["a"]}`, "400 " + data},
		{`{"data":"x","retry":0}`, "400 " + retry},
		{`{"data":"x","retry":86400001}`, "400 " + retry},
		{`{"data":"x","retry":-1}`, "400 " + example + "cannot unmarshal number -1 into Go struct field batchLine.retry of type uint32"},
		{`{"data":"x","topics":[""]}`, `400 topic "" is empty`},
		{`{"data":"x","topics":["a",""]}`, `400 topic "" is empty`},
		{`{"data":"x","topics":["a","b\n"]}`, `400 topic "b\n" contains a control character`},
		{`{"data":"x","topics":["x"]}`, "403 " + forbidden},
		{`{"data":"x","topics":["a","x"]}`, "403 " + forbidden},
		{"{\"data\":\"\xff\"}", "400 must be UTF-8"},
		{`{"data":"a\rb"}`, "400 the data has a CR at byte 1, and an event stream cannot carry a CR; add ?eol=lf to convert line ends to LF"},
		{`{"data":"` + strings.Repeat("x", 94) + `"}`, "413 an event must have at most 100 bytes on the wire, " +
			"including 7 for each line of its data; the hub's flag --max-event-size sets this limit"},
	} {
		for _, method := range []string{"POST", "PUT"} {
			a, broker := newBroker(t, withKeys("k "+secret+" publish a b"), func(o *api.Options) { o.MaxEvent = 100 })
			status, text, _ := strings.Cut(test.want, " ")
			stored := []string{"b|||0s|ok"}
			if method == "POST" {
				stored = nil
			}
			got := ask(t, a, method+" /-/batch?topic=b", "{\"data\":\"ok\"}\n"+test.line+"\n{\"data\":\"later\"}\n", bearer...)
			head := status + " sse: line 2: " + text
			if method == "PUT" {
				head += "; before the error: kept 1, last id " + positionOf(t, broker)
			}
			if got.String() != head {
				t.Errorf("%s %s\ngot  %s\nwant %s", method, test.line, got, head)
			}
			checkEvents(t, broker, stored...)
		}
	}
	a, _ := newBroker(t)
	checkRows(t, a, []row{
		{"POST /-/batch", nil, `{"data":"x"}`, "400 sse: line 1: " + noTopic},
		{"POST /-/batch", nil, `{"topics":[],"data":"x"}`, "400 sse: line 1: " + noTopic},
		{"POST /-/batch", nil, "\n\n{\"topics\":null,\"data\":\"x\"}", "400 sse: line 3: " + noTopic},
	})
}

// Each of these bodies is published as one event, with POST and with PUT.
func TestBatchLines(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`{"data":"x"}`, "d|||0s|x"},
		{`{"topics":["a"],"data":"x"}`, "a|||0s|x"},
		{`{"topics":["a","b"],"id":"i","type":"t","data":"x"}`, "a,b|i|t|0s|x"},
		{`{"topics":["a","b"],"id":"i","type":"t","retry":86400000,"data":"x"}`, "a,b|i|t|24h0m0s|x"},
		{`{"retry":1,"data":"x"}`, "d|||1ms|x"},
		{`{"data":{"a": [1, "b"]}}`, `d|||0s|{"a": [1, "b"]}`},
		{`{"data":1.50}`, "d|||0s|1.50"},
		{`{"data":true}`, "d|||0s|true"},
		{`{"data":""}`, "d|||0s|"},
		{`{"data":"\u0041\n\"\\"}`, "d|||0s|A\n\"\\"},
		{`{"data":"\ud83d\ude00"}`, "d|||0s|😀"},
		{`{"data":"\uD83D\uDE00\ud83d\ude00x"}`, "d|||0s|😀😀x"},
		{`{"data":"\udbff\udfff"}`, "d|||0s|\U0010FFFF"},
		{`{"data":"\ud7ff\ue000"}`, "d|||0s|\ud7ff\ue000"},
		{`{"data":"\nd800x\u0800\u1c00"}`, "d|||0s|\nd800x\u0800\u1c00"},
		{`{"data":"\\ud800"}`, `d|||0s|\ud800`},
		{`{"topics":["a"],"id":"~7.Ym90JFVXQt-dunBY","type":"t","data":"x","time":"2026"}`, "a||t|0s|x"},
		{`{"topics":["a"],"type":"t","data":"x","received":"2026-01-02"}`, "a||t|0s|x"},
		{"\t {\"data\" : \"x\"} \t\r", "d|||0s|x"},
		{"\t {\"retry\":1, \"data\" : \"x\"} \t\r", "d|||1ms|x"},
	} {
		for _, method := range []string{"POST", "PUT"} {
			a, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
			got := ask(t, a, method+" /-/batch?topic=d", test.body)
			if want := "200 kept 1, last id "; !strings.HasPrefix(got.String(), want) {
				t.Errorf("%s %s: %s, want %s", method, test.body, got, want)
			}
			checkEvents(t, broker, test.want)
		}
	}
}

// HasLoneSurrogate also accepts text that is not valid JSON.
func TestLoneSurrogates(t *testing.T) {
	for content, want := range map[string]bool{
		``: false, `\`: false, `\\`: false, `\u`: false, `\ud80`: false, `\ud800`: true, `\ud7ff`: false, `\ud:00`: false,
		`\ud/00`: false, `\udg00`: false, "\\ud`00": false, `\udc00`: true, `\udf00`: true, `\ue000`: false,
		`\ud800\`: true, `\ud800\udc0`: true, `\ud800\udc00`: false, `\ud800\udc00\`: false, `\ud800\udc00\ud800`: true,
	} {
		if got := api.HasLoneSurrogate([]byte(content)); got != want {
			t.Errorf("%s: %t, want %t", content, got, want)
		}
	}
}

// The broker checks the ID and the type of an event, and the number of its topics.
// If it refuses an event, a POST publishes nothing, and a PUT publishes the lines
// before the event. The error contains the number of the line.
func TestBatchLinesThatTheBrokerRefuses(t *testing.T) {
	const lines = `{"data":"1"}` + "\n" + `{"data":"2"}` + "\n" + `{"data":"3","type":"a\nb"}` + "\n" + `{"data":"4"}`
	a, broker := newBroker(t)
	got := ask(t, a, "POST /-/batch?topic=a", lines).String()
	if want := `400 sse: line 3: event "a\nb" contains LF`; got != want {
		t.Errorf("POST: %s, want %s", got, want)
	}
	checkEvents(t, broker)
	for _, test := range []struct{ line, want string }{
		{`{"data":"x","id":" x"}`, `id " x" begins or ends with a space…`},
		{`{"data":"x","id":"` + strings.Repeat("x", 1025) + `"}`, `id "xxx…`},
		{`{"data":"x","id":"x","type":"sse.x"}`, `event "sse.x" must not begin with "sse."…`},
		{`{"data":"x","topics":["a"` + strings.Repeat(`,"a"`, 1023) + `,"b"]}`, `topic "b" is one too many…`},
	} {
		body := `{"data":"x","id":"x","topics":["a"` + strings.Repeat(`,"a"`, 1022) + `,"b"]}` + "\n\r\n\n" + test.line + "\n" + test.line + "\n"
		for _, header := range [][]string{nil, {"Idempotency-Key", "k"}} {
			got := ask(t, a, "POST /-/batch?topic=a", body, header...).String()
			if want := "400 sse: line 4: " + test.want; !isText(got, want) || strings.Contains(got, "kept") {
				t.Errorf("%.60s: %.200s, want %s without kept", test.line, got, want)
			}
		}
	}
	checkRows(t, a, []row{
		{"POST /-/batch?topic=a", nil, `{"data":"x","type":"sse.x"}`, `400 sse: line 1: event "sse.x" must not begin with "sse."…`},
	})
	checkEvents(t, broker)
	got = ask(t, a, "PUT /-/batch?topic=a", lines).String()
	if !strings.HasPrefix(got, `400 sse: line 3: event "a\nb"`) ||
		!strings.HasSuffix(got, "; before the error: kept 2, last id "+positionOf(t, broker)) {
		t.Errorf("PUT: %s", got)
	}
	checkEvents(t, broker, "a|||0s|1", "a|||0s|2")
}

// A POST skips empty lines. The first line has the number 1.
func TestBatches(t *testing.T) {
	a, broker := newBroker(t)
	got := ask(t, a, "POST /-/batch?topic=a", "\n{\"data\":\"1\"}\r\n \t\r\n\n{\"data\":\"2\"}")
	if want := "200 kept 2, last id " + positionOf(t, broker); got.String() != want {
		t.Errorf("%s, want %s", got, want)
	}
	checkEvents(t, broker, "a|||0s|1", "a|||0s|2")
	checkRows(t, a, []row{
		{"POST /-/batch?topic=a", nil, "", "200 kept 0"},
		{"POST /-/batch?topic=a", nil, "\n\r\n", "200 kept 0"},
		{"POST /-/batch?topic=a", []string{"Accept", "application/json"}, "\n", `200 {"id":"","kept":0}`},
		{"PUT /-/batch?topic=a", nil, "", "200 kept 0"},
		{"POST /-/batch?topic=a", nil, "{\"data\":\"3\"}\n\nx", "400 sse: line 3: must be an event as JSON, for example " +
			`{"topics":["news"],"data":"hello"}: invalid character 'x' looking for beginning of value`},
		{"POST /-/batch?topic=a", []string{"Accept", "application/json"}, "x", `400 {"error":"line 1: must be an event as JSON, ` +
			`for example {\"topics\":[\"news\"],\"data\":\"hello\"}: invalid character 'x' looking for beginning of value","line":1,"status":400}`},
	})
	checkEvents(t, broker, "a|||0s|1", "a|||0s|2")
}

// A batch has at most 65536 events. Its body has at most 16 MiB, or MaxEvent if
// that is more.
func TestLimitsOfABatch(t *testing.T) {
	var published int
	log := func(o *api.Options) {
		o.Log = fakeLog{Log: o.Log, publish: func(_ *api.IdempotentRequest, entries []sse.Entry) ([]sse.Position, bool, error) {
			published = len(entries)
			return make([]sse.Position, len(entries)), false, nil
		}}
	}
	a, _ := newBroker(t, log)
	line := "{\"data\":\"\"}\n"
	for _, test := range []struct {
		lines, published int
		want             string
	}{
		{65536, 65536, "200 kept 65536, last id "},
		{65537, 0, "413 sse: a batch must have at most 65536 events; PUT has no such limit"},
	} {
		published = 0
		got := ask(t, a, "POST /-/batch?topic=a", strings.Repeat(line, test.lines)).String()
		if got != test.want || published != test.published {
			t.Errorf("%d lines: %s, published %d, want %s, %d", test.lines, got, published, test.want, test.published)
		}
	}
	// The event has 100 bytes on the wire: 93 of data and 7 for the line.
	b, broker := newBroker(t, func(o *api.Options) { o.MaxEvent = 100 })
	data := strings.Repeat("x", 93)
	if got := ask(t, b, "POST /-/batch?topic=a", `{"data":"`+data+`"}`); got.status != 200 {
		t.Errorf("an event of the largest size: %s, want 200", got)
	}
	checkEvents(t, broker, "a|||0s|"+data)
	// A body is refused before it arrives if its Content-Length is too large.
	for _, test := range []struct{ maxEvent, length, limit int }{
		{100, 16 << 20, 0}, {100, 16<<20 + 1, 16 << 20}, {17 << 20, 17 << 20, 0}, {17 << 20, 17<<20 + 1, 17 << 20},
	} {
		a, _ := newBroker(t, func(o *api.Options) { o.MaxEvent = test.maxEvent })
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/-/batch?topic=a", nil)
		r.Body, r.ContentLength = &pieces{err: io.EOF}, int64(test.length)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		want := "200 kept 0\n"
		if test.limit > 0 {
			want = fmt.Sprintf("413 sse: a batch must have at most %d bytes; PUT has no such limit\n", test.limit)
		}
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); got != want {
			t.Errorf("%d bytes: %s, want %s", test.length, got, want)
		}
	}
}
