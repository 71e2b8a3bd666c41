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

const (
	maxBatchBytes  = 16 << 20
	maxBatchEvents = 64 << 10
)

// batchLine is an event of a batch. Fields that it does not have are errors.
type batchLine struct {
	Topics []string `json:"topics"`
	ID     string   `json:"id"`
	Type   string   `json:"type"`
	Data   lineData `json:"data"`
	Retry  *uint32  `json:"retry"` // milliseconds
}

// postBatch is POST of /-/batch: all events, or none of them if one is wrong.
func (a *API) postBatch(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r, max(maxBatchBytes, a.MaxEvent), batchTooLarge)
	if err != nil {
		return err
	}
	entries, err := a.parseBatch(p, body)
	if err != nil {
		return err
	}
	once, err := onceOf(r, p.who, entries...)
	if err != nil {
		return err
	}
	f := &feed{}
	at, before, err := a.Log.Publish(r.Context(), once, entries...)
	if f.kept = len(at); f.kept > 0 {
		f.last = idOf(&entries[f.kept-1], at[f.kept-1])
	}
	if err != nil {
		return f.partly(err)
	}
	if before {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	return f.done(w, r)
}

func batchTooLarge(limit int) error {
	return problemf(http.StatusRequestEntityTooLarge,
		"a batch has at most %d bytes; PUT takes any number", limit)
}

// parseBatch makes entries of lines of JSON. Empty lines are left out.
func (a *API) parseBatch(p *publication, body string) ([]sse.Entry, error) {
	lines := min(strings.Count(body, "\n"), len(body)/len(`{"data":""}`))
	entries := make([]sse.Entry, 0, min(lines, maxBatchEvents))
	n := 0
	for line := range bytes.Lines([]byte(body)) {
		n++
		text := bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		entry, err := a.parseLine(p, text)
		if err != nil {
			return nil, &atLine{err, n}
		}
		if entries = append(entries, entry); len(entries) > maxBatchEvents {
			return nil, problemf(http.StatusRequestEntityTooLarge,
				"a batch has at most %d events; PUT takes any number", maxBatchEvents)
		}
	}
	return entries, nil
}

// putBatch is PUT of /-/batch: events as they come.
func (a *API) putBatch(w http.ResponseWriter, r *http.Request) error {
	p, err := a.prepareBatch(r)
	if err != nil {
		return err
	}
	return a.stream(w, r, func(line []byte) (sse.Entry, error) {
		return a.parseLine(p, bytes.TrimSuffix(line, []byte("\r")))
	})
}

// prepareBatch reads who publishes, and the topics of events that name none.
func (a *API) prepareBatch(r *http.Request) (*publication, error) {
	p := &publication{}
	query, err := parseQuery(r, true, "eol")
	if err != nil {
		return nil, err
	}
	if p.who, err = a.Authority.Identify(r, query); err != nil {
		return nil, err
	}
	var to target
	if query.Has("topic") || query.Has("pattern") {
		if to, err = parseTarget(query); err != nil {
			return nil, err
		}
	}
	err = p.setTarget(r, query, to)
	return p, err
}

// parseLine makes an entry of a line of JSON.
func (a *API) parseLine(p *publication, text []byte) (entry sse.Entry, err error) {
	if !utf8.Valid(text) {
		return entry, problemf(http.StatusBadRequest, "it is not UTF-8")
	}
	var plain batchLine
	line := &plain
	if !plain.parse(text) {
		if line, err = decodeLine(text); err != nil {
			return entry, err
		}
	}
	err = a.makeEntry(p, line, &entry)
	return entry, err
}

// decodeLine reads whatever is an event as JSON, or says why it is none.
func decodeLine(text []byte) (*batchLine, error) {
	line := &batchLine{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(line); err != nil {
		return nil, problemf(http.StatusBadRequest, "it is not an event as JSON, such as "+
			`{"topics":["news"],"data":"hello"}: %s`, strings.TrimPrefix(err.Error(), "json: "))
	}
	if decoder.InputOffset() < int64(len(bytes.TrimRight(text, " \t"))) {
		return nil, problemf(http.StatusBadRequest, "something follows the JSON of the event")
	}
	if hasLoneSurrogate(text) {
		return nil, problemf(http.StatusBadRequest, `it has half a surrogate pair, as in "\ud800"`)
	}
	return line, nil
}

func (a *API) makeEntry(p *publication, line *batchLine, entry *sse.Entry) (err error) {
	entry.Topics = p.topics
	if len(line.Topics) > 0 {
		entry.Topics = line.Topics
	}
	if len(entry.Topics) == 0 {
		return problemf(http.StatusBadRequest, `a topic is missing: "topics" in the line, or ?topic=NAME`)
	}
	for _, topic := range line.Topics {
		if err := checkTopic(topic); err != nil {
			return err
		}
	}
	if err := p.who.MayTopics(auth.Publish, line.Topics); err != nil {
		return err
	}
	entry.Event.ID, entry.Event.Type = line.ID, line.Type
	if line.Retry != nil {
		if entry.Event.Retry, err = parseRetry(fmt.Sprint(*line.Retry)); err != nil {
			return err
		}
	}
	if !line.Data.given {
		return problemf(http.StatusBadRequest, `"data" is missing, or null`)
	}
	entry.Event.Data = line.Data.text
	return p.check(entry, a.MaxEvent)
}

// lineData is the text of a JSON string, or the JSON of anything else.
type lineData struct {
	text  string
	given bool // and not null
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *lineData) UnmarshalJSON(raw []byte) error {
	*d = lineData{string(raw), true}
	switch raw[0] {
	case 'n':
		*d = lineData{}
	case '"':
		return json.Unmarshal(raw, &d.text)
	}
	return nil
}

// hasLoneSurrogate reports whether an escape stands for half a character. JSON that
// has one is valid, and decoded to something else.
func hasLoneSurrogate(text []byte) bool {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || at+1 >= len(text) {
			return false
		}
		text = text[at:]
		switch half := surrogateAt(text); {
		case half == 0:
			text = text[2:]
		case half == low || surrogateAt(text[6:]) != low:
			return true
		default:
			text = text[12:]
		}
	}
}

const (
	high = 1 + iota
	low
)

// surrogateAt says which half of a pair an escape at the beginning of text is.
func surrogateAt(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' || text[2]|0x20 != 'd' {
		return 0
	}
	switch c := text[3] | 0x20; {
	case '8' <= text[3] && text[3] <= '9', c == 'a', c == 'b':
		return high
	case 'c' <= c && c <= 'f':
		return low
	}
	return 0
}
