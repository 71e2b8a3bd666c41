package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// batchLine is one event of a batch, as JSON.
type batchLine struct {
	Topics []string `json:"topics"`
	ID     string   `json:"id"`
	Type   string   `json:"type"`
	Data   lineData `json:"data"`
	Retry  *uint32  `json:"retry"` // milliseconds

	// These are ignored. The lines of a page of history and of sse listen --json have
	// them (see package eventjson), and can be published as they are.
	Time     string `json:"time"`
	Received string `json:"received"`
}

// parseBatchLine parses and checks the event in one line of a batch.
func (a *API) parseBatchLine(p *publishRequest, content []byte) (entry sse.Entry, err error) {
	if !utf8.Valid(content) {
		return entry, problemf(http.StatusBadRequest, "must be UTF-8")
	}
	var simple batchLine
	line := &simple
	if !simple.parseSimple(content) {
		if line, err = decodeLine(content); err != nil {
			return entry, err
		}
	}
	err = a.makeEntry(p, line, &entry)
	return entry, err
}

// decodeLine parses a line in any form of JSON. It refuses unknown fields.
func decodeLine(content []byte) (*batchLine, error) {
	line := &batchLine{}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(line); err != nil {
		return nil, problemf(http.StatusBadRequest, "must be an event as JSON, for example "+
			`{"topics":["news"],"data":"hello"}: %s`, strings.TrimPrefix(err.Error(), "json: "))
	}
	if decoder.InputOffset() < int64(len(bytes.TrimRight(content, " \t"))) {
		return nil, problemf(http.StatusBadRequest, "must have nothing after the JSON of the event")
	}
	if hasLoneSurrogate(content) {
		return nil, problemf(http.StatusBadRequest,
			`must not have half a surrogate pair, for example "\ud800"`)
	}
	return line, nil
}

// makeEntry sets entry to the event of a line. It fails if the event is invalid, or
// if the client may not publish to one of the topics.
func (a *API) makeEntry(p *publishRequest, line *batchLine, entry *sse.Entry) (err error) {
	entry.Topics = p.topics
	if len(line.Topics) > 0 {
		entry.Topics = line.Topics
	}
	if len(entry.Topics) == 0 {
		return problemf(http.StatusBadRequest,
			`must name a topic: add "topics" to the line, or ?topic=NAME to the URL`)
	}
	for _, topic := range line.Topics {
		if err := checkTopic(topic); err != nil {
			return err
		}
	}
	if err := p.identity.CheckTopics(auth.Publish, line.Topics); err != nil {
		return err
	}
	entry.Event.ID, entry.Event.Type = line.ID, line.Type
	if _, err := sse.ParsePosition(line.ID); err == nil {
		entry.Event.ID = "" // a hub has assigned this ID to the event that the line copies
	}
	if line.Retry != nil {
		if entry.Event.Retry, err = parseRetry(fmt.Sprint(*line.Retry)); err != nil {
			return err
		}
	}
	if !line.Data.present {
		return problemf(http.StatusBadRequest, `must have "data" that is not null`)
	}
	entry.Event.Data = line.Data.value
	return p.check(entry, a.MaxEvent)
}

// lineData is the data of an event. If the JSON value is a string, such as "a\n",
// the data is its content. If it is any other value, such as {"n": 1}, the data is
// its JSON text.
type lineData struct {
	value   string
	present bool // the line has data that is not null
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *lineData) UnmarshalJSON(raw []byte) error {
	*d = lineData{string(raw), true}
	switch raw[0] {
	case 'n':
		*d = lineData{}
	case '"':
		return json.Unmarshal(raw, &d.value)
	}
	return nil
}

// hasLoneSurrogate reports whether an escape in JSON, such as \ud83d, is half of a
// surrogate pair, and the other half is missing. Such JSON is valid, but package
// json would decode the escape to U+FFFD, so the data would change.
func hasLoneSurrogate(content []byte) bool {
	for {
		at := bytes.IndexByte(content, '\\')
		if at < 0 || at+1 >= len(content) {
			return false
		}
		content = content[at:]
		switch half := surrogateAt(content); {
		case half == notSurrogate:
			content = content[2:]
		case half == lowSurrogate || surrogateAt(content[6:]) != lowSurrogate:
			return true
		default:
			content = content[12:]
		}
	}
}

// surrogate is the half of a surrogate pair that an escape in JSON stands for. The
// low surrogate is the second half.
type surrogate int

const (
	notSurrogate surrogate = iota
	highSurrogate
	lowSurrogate
)

// surrogateAt returns the kind of the escape with which content begins. If content
// begins with anything else, it returns notSurrogate.
func surrogateAt(content []byte) surrogate {
	if len(content) < 6 || content[0] != '\\' || content[1] != 'u' || content[2]|0x20 != 'd' {
		return notSurrogate
	}
	switch c := content[3] | 0x20; {
	case '8' <= content[3] && content[3] <= '9', c == 'a', c == 'b':
		return highSurrogate
	case 'c' <= c && c <= 'f':
		return lowSurrogate
	}
	return notSurrogate
}
