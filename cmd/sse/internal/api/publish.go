package api

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// publishOwn is POST of /-/publish.
func (a *API) publishOwn(w http.ResponseWriter, r *http.Request) error {
	return a.publish(w, r, target{})
}

// publish publishes the body as one event.
func (a *API) publish(w http.ResponseWriter, r *http.Request, to target) error {
	var p publication
	if err := a.prepare(&p, r, to); err != nil {
		return err
	}
	data, err := a.readBody(w, r, a.MaxEvent, tooLarge)
	if err != nil {
		return err
	}
	entry := sse.Entry{Topics: p.topics, Event: p.event}
	entry.Event.Data = data
	if err := p.check(&entry, a.MaxEvent); err != nil {
		return err
	}
	at, before, err := a.publishEntry(r, p.who, entry)
	if err != nil {
		return err
	}
	if before {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	id := idOf(&entry, at)
	switch {
	case wantsJSON(r):
		return answer(w, r, "", map[string]any{"id": id})
	case entry.Event.ID != "":
		return answer(w, r, id+"\n", nil)
	}
	// net/http finds out by itself that a position is text/plain; charset=utf-8.
	_, _ = io.WriteString(w, id)
	_, _ = io.WriteString(w, "\n") // whoever asked may have gone
	return nil
}

// publishEntry publishes one event, or finds that it was published before.
func (a *API) publishEntry(r *http.Request, who *auth.Who, entry sse.Entry) (
	at sse.Position, before bool, err error) {
	once, err := onceOf(r, who, entry)
	if err != nil {
		return at, false, err
	}
	if once == nil {
		at, err = a.Log.PublishOne(r.Context(), entry.Event, entry.Topics...)
		return at, false, err
	}
	all, before, err := a.Log.Publish(r.Context(), once, entry)
	if err != nil {
		return at, false, err
	}
	return all[0], before, nil
}

// idOf is the id that subscribers see.
func idOf(entry *sse.Entry, at sse.Position) string {
	if entry.Event.ID != "" {
		return entry.Event.ID
	}
	return at.String()
}

// publication is what a request says of the events that it publishes.
type publication struct {
	who    *auth.Who
	topics []string
	event  sse.Event // but for its data
	toLF   bool      // line ends may become LF
}

// prepare reads everything but the body, and finds out whether it may be published.
// The target is empty if the query names it.
func (a *API) prepare(p *publication, r *http.Request, to target) error {
	named := len(to.topics)+len(to.patterns) == 0
	query, err := parseQuery(r, named, publishParameters...)
	if err != nil {
		return err
	}
	if p.who, err = a.Authority.Identify(r, query); err != nil {
		return err
	}
	if named {
		if to, err = parseTarget(query); err != nil {
			return err
		}
	}
	return p.setTarget(r, query, to)
}

func (p *publication) setTarget(r *http.Request, query url.Values, to target) (err error) {
	if err := to.onlyTopics("publishing"); err != nil {
		return err
	}
	if err := p.who.MayTopics(auth.Publish, to.topics); err != nil {
		return err
	}
	p.topics = to.topics
	if err := checkBodyForm(r); err != nil || len(query) == 0 {
		return err
	}
	p.event.Type, p.event.ID = query.Get("type"), query.Get("id")
	if query.Has("retry") {
		if p.event.Retry, err = parseRetry(query.Get("retry")); err != nil {
			return err
		}
	}
	switch eol := query.Get("eol"); {
	case eol == "lf":
		p.toLF = true
	case query.Has("eol"):
		return problemf(http.StatusBadRequest, "eol is lf: line ends become LF")
	}
	return nil
}

// checkBodyForm refuses bodies that are something else than the data.
func checkBodyForm(r *http.Request) error {
	kind := headerOf(r, "Content-Type")
	if len(kind) > 9 && strings.EqualFold(kind[:10], "multipart/") {
		return problemf(http.StatusUnsupportedMediaType, "the body is the data, and a multipart body "+
			"is not: with curl, -d sends data and -F does not; --data-binary @FILE sends a file")
	}
	if coding := headerOf(r, "Content-Encoding"); coding != "" && coding != "identity" {
		return problemf(http.StatusUnsupportedMediaType,
			"the body is the data, and is not to be compressed: Content-Encoding %s", shorten(coding))
	}
	return nil
}

// parseRetry reads milliseconds.
func parseRetry(text string) (time.Duration, error) {
	const most = 24 * 60 * 60 * 1000
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil || ms == 0 || ms > most {
		return 0, problemf(http.StatusBadRequest,
			"retry is a number of milliseconds, 1 to %d", most)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// check refuses what a stream cannot carry as it is. What the broker refuses is
// left to it.
func (p *publication) check(entry *sse.Entry, limit int) error {
	data := entry.Event.Data
	if at := strings.IndexByte(data, '\r'); at >= 0 {
		if !p.toLF {
			return problemf(http.StatusBadRequest, "the data has a CR at byte %d, which no event stream "+
				"carries: line ends arrive as LF; ?eol=lf makes them LF here", at)
		}
		data = strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n")
		entry.Event.Data = data
	}
	if !utf8.ValidString(data) {
		return problemf(http.StatusBadRequest,
			"the data is not UTF-8, which is all that an event stream carries: encode it, as in base64")
	}
	const perLine = len("data: \n")
	if n := len(data) + (strings.Count(data, "\n")+1)*perLine; n > limit {
		return tooLarge(limit)
	}
	return nil
}

func tooLarge(limit int) error {
	return problemf(http.StatusRequestEntityTooLarge,
		"an event has at most %d bytes on the wire, 7 for each line of its data included: "+
			"the limit is --max-event-size", limit)
}

var bodies = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// readBody returns the body, if it comes in time and is not too long.
func (a *API) readBody(
	w http.ResponseWriter, r *http.Request, limit int, tooLong func(limit int) error,
) (string, error) {
	if r.ContentLength > int64(limit) {
		return "", tooLong(limit)
	}
	if r.ContentLength == 0 {
		return "", nil
	}
	var body strings.Builder
	buf := bodies.Get().(*[]byte)
	defer bodies.Put(buf)
	for {
		n, err := r.Body.Read(*buf)
		body.Write((*buf)[:n])
		switch {
		case body.Len() > limit:
			return "", tooLong(limit)
		case err == io.EOF:
			return body.String(), nil
		case err != nil:
			return "", bodyError(w, err)
		}
	}
}

// maxKey is how long an idempotency key may be.
const maxKey = 255

// onceOf returns what makes a retried publish one, or nil.
func onceOf(r *http.Request, who *auth.Who, entries ...sse.Entry) (*Once, error) {
	keys := r.Header["Idempotency-Key"]
	switch {
	case len(keys) == 0:
		return nil, nil
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey:
		return nil, problemf(http.StatusBadRequest,
			"an Idempotency-Key is one header of 1 to %d bytes", maxKey)
	}
	once := &Once{Owner: who.Name, Key: keys[0]}
	h := sha256.New()
	for i := range entries {
		digest(h, &entries[i])
	}
	h.Sum(once.Digest[:0])
	return once, nil
}

// digest adds an entry to a sum. Lengths keep its parts apart.
func digest(h hash.Hash, e *sse.Entry) {
	var n [8]byte
	number := func(v int) {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	number(len(e.Topics))
	for _, text := range append([]string{e.Event.ID, e.Event.Type, e.Event.Data}, e.Topics...) {
		number(len(text))
		_, _ = io.WriteString(h, text)
	}
	number(int(e.Event.Retry))
}
