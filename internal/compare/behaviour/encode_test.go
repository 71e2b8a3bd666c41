package behaviour

import (
	"errors"
	"strings"
)

// errUnable is the error of an encodeAdapter whose library cannot express the
// event. Any other error is a refusal of the event.
var errUnable = errors.New("the library cannot express this event")

// encodeAdapter calls the encoder of a library.
type encodeAdapter struct {
	retry  bool // the encoder can encode a retry time
	encode func(got) ([]byte, error)
}

// encodeCase is an event, and the event that a correct decoder must read from its
// encoding.
type encodeCase struct {
	rule, source string
	event        got
	want         got
	mayRefuse    bool // the encoder may also return an error
	dropped      bool // the encoding may lack the ID and the type, or change them
	anyData      bool // the data may change, for example because the encoder escapes it
}

const (
	fields   = "HTML 9.2.6: a line end ends the field"
	anyField = "HTML 9.2.5: `data` is a stream of lines"
)

var encodeCases = []encodeCase{
	{rule: "Empty data is transmitted.",
		source: "HTML 9.2.6; launchdarkly/eventsource#36"},
	{rule: "Data of several lines is transmitted.",
		source: anyField + "; donovanhide/eventsource TestRoundTrip, " +
			"alexandrevicenzi/go-sse TestMultilineDataMessage",
		event: got{data: "a\nb\n\nc"}, want: got{data: "a\nb\n\nc"}},
	{rule: "An LF at the end of data is transmitted.",
		source: anyField + "; launchdarkly/eventsource TestEncoderMultiLineData",
		event:  got{data: "a\n"}, want: got{data: "a\n"}},
	{rule: "Data that is a single LF is transmitted.", source: anyField,
		event: got{data: "\n"}, want: got{data: "\n"}},
	{rule: "A leading space is transmitted, for example in a token of a language model.",
		source: "HTML 9.2.6; gin-contrib/sse#58",
		event:  got{data: " token\n next"}, want: got{data: " token\n next"}},
	{rule: "A leading colon is transmitted.", source: "HTML 9.2.6",
		event: got{data: ":x"}, want: got{data: ":x"}},
	{rule: "Text in data that looks like a field stays data.", source: fields,
		event: got{data: "x\nevent: evil\nid: 6"}, want: got{data: "x\nevent: evil\nid: 6"}},
	{rule: "A CR in data does not start another field.",
		source: fields + "; starfederation/datastar-ruby#18, the same in Go",
		event:  got{data: "a\revent: evil"}, mayRefuse: true, anyData: true},
	{rule: "A CRLF in data counts as one line end.",
		source: fields + "; tmaxmax/go-sse TestNextChunk",
		event:  got{data: "a\r\nb"}, want: got{data: "a\nb"}, mayRefuse: true},
	{rule: "A blank line in data does not start another event.", source: fields,
		event: got{data: "x\n\ndata: evil"}, want: got{data: "x\n\ndata: evil"}},
	{rule: "Id, type and data are transmitted together.",
		source: "HTML 9.2.6; alexandrevicenzi/go-sse TestMessage",
		event:  got{id: "1", typ: "t", data: "x"}, want: got{id: "1", typ: "t", data: "x"}},
	{rule: "An id with LF is refused, or does not start another field.", source: fields,
		event: got{id: "1\ndata: evil", data: "x"}, want: got{data: "x"},
		mayRefuse: true, dropped: true},
	{rule: "An id with CR is refused, or does not start another field.", source: fields,
		event: got{id: "1\rdata: evil", data: "x"}, want: got{data: "x"},
		mayRefuse: true, dropped: true},
	{rule: "An id with NUL is refused, because clients ignore such ids.", source: "HTML 9.2.6",
		event: got{id: "1\x002", data: "x"}, want: got{data: "x"}, mayRefuse: true},
	{rule: "A type with LF is refused, or does not start another field.", source: fields,
		event: got{typ: "t\ndata: evil", data: "x"}, want: got{data: "x"},
		mayRefuse: true, dropped: true},
	{rule: "A type with CR is refused, or does not start another field.", source: fields,
		event: got{typ: "t\rdata: evil", data: "x"}, want: got{data: "x"},
		mayRefuse: true, dropped: true},
	{rule: "A retry time is transmitted.", source: "HTML 9.2.6; gin-contrib/sse TestEncodeWithRetry",
		event: got{data: "x", retry: 1500}, want: got{data: "x", retry: 1500}},
}

func encodeRows() []behaviour {
	var rows []behaviour
	for _, c := range encodeCases {
		rows = append(rows, behaviour{"Encoding", c.rule, c.source, c.run})
	}
	return rows
}

func (c encodeCase) run(lib *library) outcome {
	if lib.encode == nil || c.event.retry != 0 && !lib.encode.retry {
		return notApplicable
	}
	wire, err := lib.encode.encode(c.event)
	if errors.Is(err, errUnable) {
		return notApplicable
	}
	if err != nil {
		return passIf(c.mayRefuse)
	}
	if strings.ContainsRune(c.event.id, 0) && strings.ContainsRune(string(wire), 0) {
		return fail
	}
	events := parse(string(wire))
	if len(events) != 1 {
		return fail
	}
	event := events[0]
	if c.dropped {
		event.id, event.typ = "", "" // a changed or missing ID or type is harmless
	}
	if c.anyData {
		event.data = c.want.data
	}
	return passIf(event == c.want)
}

// parse parses a whole stream as HTML 9.2.6 defines. It uses no library, so that no
// library is tested with its own decoder.
func parse(stream string) (events []got) {
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	id, event, hasData := "", got{}, false
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if hasData {
				event.id, event.data = id, strings.TrimSuffix(event.data, "\n")
				events = append(events, event)
			}
			event, hasData = got{}, false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			event.data += value + "\n"
			hasData = true
		case "event":
			event.typ = value
		case "id":
			if !strings.ContainsRune(value, 0) {
				id = value
			}
		case "retry":
			event.retry = milliseconds(value)
		}
	}
	return events
}

func milliseconds(digits string) (ms int64) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0
		}
		ms = ms*10 + int64(c-'0')
	}
	return ms
}
