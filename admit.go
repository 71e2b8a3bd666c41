package sse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"time"
)

// counts are how many streams there are, those included that have not begun.
type counts struct {
	total   int
	remotes map[string]int // by IP address
	keys    map[string]int
}

// ServeHTTP answers with a stream of events, and returns when that has ended. See
// [Broker] for what the request may say.
//
// What is refused has a text that says why: 400 for what cannot be understood,
// 405, what Select says, 410 for what is gone ([LossRefuse]), and 503 with
// Retry-After above a limit, during Shutdown, or if the Log cannot be reached.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.serve(w, r); err != nil {
		b.refuse(w, r, err)
	}
}

// serve returns an error if there is to be a response that is not a stream.
func (b *Broker) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refusal(http.StatusMethodNotAllowed, "sse: a stream is asked for with GET, not "+r.Method,
			"Allow", "GET, HEAD")
	}
	c, err := b.start(r.Context())
	if err != nil {
		return unreachable(err)
	}
	v := visit{remote: hostOf(r.RemoteAddr)}
	if err := c.reserve(v.remote); err != nil {
		return err
	}
	parked := false
	defer func() {
		c.hasCome(&v)
		if !parked {
			c.free(v.remote)
			c.freeKey(v.key)
		}
	}()
	if err := c.receive(r, &v); err != nil {
		return err
	}
	why, park := c.come(w, r, &v)
	if park {
		parked = c.park(w, r, &v) == nil
		return nil // it has begun, or has been answered
	}
	c.hold(w, r, &v, why)
	return nil
}

// visit is a request on its way to be a subscriber. It is small, since it is on the
// stack below net/http's deepest calls: a stack that has to grow there is twice as
// large for as long as the stream lasts.
type visit struct {
	remote, key string // counted, unless empty
	s           *subscriber
	topics      []string
	patterns    []Pattern
	coming      bool // counted
}

// receive makes a subscriber of what the request asks for.
func (c *core) receive(r *http.Request, v *visit) error {
	sel, err := c.opts.selection(r)
	if err != nil {
		return err
	}
	if err := c.reserveKey(sel.Key); err != nil {
		return err
	}
	v.key = sel.Key
	start, asked, err := requestStart(r)
	if err != nil {
		return refusal(http.StatusBadRequest, err.Error())
	}
	v.s, err = c.admit(r.Context(), &sel, start, asked, r.RemoteAddr)
	v.topics, v.patterns = sel.topicNames(), sel.Patterns
	return err
}

// freeFor undoes what was reserved for a stream that was parked.
func (c *core) freeFor(s *subscriber) {
	c.free(hostOf(s.remote()))
	c.freeKey(s.key())
}

// selection is what the request subscribes to.
func (b *Broker) selection(r *http.Request) (Selection, error) {
	if b.Select != nil {
		return b.Select(r)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // half a query may be another selection
		return Selection{}, refusal(http.StatusBadRequest, "sse: malformed query: "+err.Error())
	}
	return Selection{Topics: query["topic"], WithTopic: query.Has("withTopic")}, nil
}

// hold serves a stream in this goroutine.
func (c *core) hold(w http.ResponseWriter, r *http.Request, v *visit, why string) {
	s := v.s
	stream, err := accept(w, r, &c.stream, &Stream{bare: true}, c.preface(s))
	if err != nil {
		return // accept has answered
	}
	h := &held{c: c, s: s, stream: stream, why: why, woken: signal()}
	s.wait = h
	err = c.enter(s, v.topics, v.patterns)
	c.hasCome(v)
	if err != nil {
		h.farewell(err)
		_ = stream.Close()
		return
	}
	var cause error
	defer stream.Close()
	defer func() { c.left(s, cause) }()
	c.connected(s)
	cause = h.run()
}

// preface is what a stream begins with, besides what Accept sends: where the
// client is. If it is to be told a gap, that comes first, or it would be lost
// with a connection that ends before it.
func (c *core) preface(s *subscriber) []byte {
	if s.gap != nil || c.opts.Cursor == CursorOff {
		return nil
	}
	s.sent = s.cursor.Seq
	return appendCursor(nil, c.opts.Cursor, s.cursor)
}

// connected calls the hook, once the stream has begun.
func (c *core) connected(s *subscriber) {
	if c.opts.OnConnect != nil {
		c.opts.OnConnect(c.describe(s))
	}
}

// left takes the subscriber out of the broker, and calls the hook.
func (c *core) left(s *subscriber, cause error) {
	cause = reason(cause)
	var description Subscriber
	if c.opts.OnDisconnect != nil {
		description = c.describe(s)
	}
	c.leave(s)
	if c.opts.OnDisconnect != nil {
		defer c.hasLeft()
		c.opts.OnDisconnect(description, cause)
	}
}

// hasLeft is called after each OnDisconnect: Shutdown waits for the last.
func (c *core) hasLeft() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving--
	c.checkGone()
}

// reason makes a cause one that OnDisconnect promises. It is nil if a hook or a
// filter has panicked.
func reason(cause error) error {
	if cause == nil {
		return ErrClosed
	}
	for _, known := range [...]error{
		ErrPeerGone, ErrShutdown, ErrLagging, ErrKicked, ErrExpired, ErrClosed,
	} {
		if errors.Is(cause, known) {
			return cause
		}
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause) // of a context of the application's
}

// admit makes a subscriber that begins where it is asked to.
func (c *core) admit(ctx context.Context, sel *Selection, start Start, asked, remote string) (
	*subscriber, error) {
	if err := sel.check(); err != nil {
		return nil, refuse(http.StatusBadRequest, err)
	}
	s := &subscriber{terms: c.termsOf(sel), slot: -1}
	s.setAbout(about{sel.Key, remote, c.expiry(sel.Expires)})
	err := c.locate(ctx, s, sel, start)
	var gap *Gap
	if errors.As(err, &gap) {
		s.gap = &Gap{Asked: gap.Asked, Why: gap.Why}
		if asked != "" {
			s.gap.Asked = asked
		}
		err = nil
	}
	if err != nil {
		return nil, unreachable(err)
	}
	return s, c.checkStart(ctx, s, sel)
}

// expiry draws when a stream ends at the latest, or returns 0.
func (c *core) expiry(expires time.Time) int64 {
	var at int64
	if !expires.IsZero() {
		at = max(1, keepable(expires).UnixNano())
	}
	if age := c.opts.MaxAge; age > 0 {
		latest := time.Now().Add(age - rand.N(age/10+1)).UnixNano()
		if at == 0 || latest < at {
			at = latest
		}
	}
	return at
}

// locate sets the cursor to where a subscriber begins. The error may be a *Gap.
func (c *core) locate(ctx context.Context, s *subscriber, sel *Selection, start Start) (err error) {
	// Who asks for the past as such does not want to hear how much more of it
	// there once was.
	open := start.Earliest || start.Last > 0
	c.mu.Lock()
	now := time.Now()
	c.win.trim(now) // what is too old is in the log alone
	if c.log == nil || start == (Start{}) || c.win.covers(start.After) ||
		c.win.coversTime(start.Time) {
		s.cursor, err = c.win.locate(start, sel, now)
		if open {
			lost := c.win.lost(c.win.sources(sel, now)...)
			s.know(Position{c.win.epoch, lost.seq, lost.check})
		}
		c.mu.Unlock()
		return err
	}
	c.mu.Unlock()
	s.accepting = open
	s.cursor, err = c.log.Locate(ctx, start, *sel)
	return err
}

// covers reports whether everything after a position is in the window.
func (w *window) covers(p Position) bool {
	return p.Epoch == w.epoch && w.base.Seq <= p.Seq && p.Seq <= w.last.Seq
}

// coversTime reports whether everything that is not older than a time is in the
// window.
func (w *window) coversTime(t time.Time) bool {
	entries := w.entries[w.head:]
	i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > w.base.Seq })
	return !t.IsZero() && i < len(entries) && entries[i].time < t.UnixNano()
}

// checkStart applies the policy for what is gone, before the stream begins.
func (c *core) checkStart(ctx context.Context, s *subscriber, sel *Selection) error {
	switch s.terms.loss {
	case LossNew:
		if s.gap != nil {
			c.mu.Lock()
			s.cursor = c.win.last
			c.mu.Unlock()
		}
	case LossRefuse:
		gap, err := c.lossAtStart(ctx, s, sel)
		if err != nil {
			return unreachable(err)
		}
		if gap != nil {
			return refuse(http.StatusGone, gap)
		}
	}
	return nil
}

// lossAtStart finds out what a subscriber would be told that begins now.
func (c *core) lossAtStart(ctx context.Context, s *subscriber, sel *Selection) (*Gap, error) {
	if s.gap != nil || s.accepting {
		return s.gap, nil
	}
	c.mu.Lock()
	lost := c.win.lost(c.win.sources(sel, time.Now())...).seq
	below := s.cursor.Seq < c.win.base.Seq
	c.mu.Unlock()
	if below {
		page, err := c.log.Read(ctx, s.cursor, Position{}, *sel, 1)
		if err != nil {
			return nil, err
		}
		lost = page.Lost.Seq
	}
	if lost > max(s.cursor.Seq, s.told) {
		return &Gap{Asked: s.cursor.String(), Why: "trimmed"}, nil
	}
	return nil, nil
}

// reserve counts a stream that may begin. It is the first thing that is done for
// one, and costs next to nothing.
func (c *core) reserve(remote string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.counts
	switch limit := c.opts; {
	case c.closed || c.draining:
		return unavailable(ErrShutdown)
	case limit.MaxSubscribers > 0 && n.total >= limit.MaxSubscribers:
		return full("subscribers", limit.MaxSubscribers)
	case limit.MaxPerRemote > 0 && n.remotes[remote] >= limit.MaxPerRemote:
		return full("subscribers from "+remote, limit.MaxPerRemote)
	case limit.MaxPerRemote > 0:
		if n.remotes == nil {
			n.remotes = make(map[string]int)
		}
		n.remotes[remote]++
	}
	n.total++
	return nil
}

func (c *core) free(remote string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.total--
	decrement(c.counts.remotes, remote)
}

func (c *core) reserveKey(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.opts.MaxPerKey
	if limit <= 0 || key == "" {
		return nil
	}
	if c.counts.keys[key] >= limit {
		return full("subscribers with this key", limit)
	}
	if c.counts.keys == nil {
		c.counts.keys = make(map[string]int)
	}
	c.counts.keys[key]++
	return nil
}

func (c *core) freeKey(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	decrement(c.counts.keys, key)
}

func decrement(m map[string]int, key string) {
	switch n := m[key]; {
	case n > 1:
		m[key] = n - 1
	case n == 1:
		delete(m, key)
	}
}

// hostOf is an address without the port, in one form.
func hostOf(address string) string {
	if p, ok := parsePeer(address); ok {
		address = p.String()
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// refuse writes the response for an error.
func (b *Broker) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var answer *ResponseError
	told := errors.As(err, &answer)
	if (!told || answer.Reason == errUnreachable.Error()) &&
		b.Stream.Logger != nil && r.Context().Err() == nil {
		b.Stream.Logger.Error("sse: a subscriber was refused", "path", r.URL.Path, "error", err)
	}
	if !told {
		answer = refusal(http.StatusInternalServerError, "sse: the subscription could not be checked")
	}
	text := string(answer.Body)
	if text == "" {
		text = answer.Reason
	}
	status := answer.StatusCode
	if (status < 400 || status > 599) && status != http.StatusNoContent {
		status = http.StatusForbidden
	}
	maps.Copy(w.Header(), answer.Header)
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusNoContent {
		w.WriteHeader(status) // which tells an EventSource to stop
		return
	}
	http.Error(w, text, status)
}

// refusal is a response that is not a stream. The header is names and values.
func refusal(status int, text string, header ...string) *ResponseError {
	e := &ResponseError{
		StatusCode: status,
		Status:     fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Reason:     text,
		Header:     make(http.Header),
	}
	for i := 0; i < len(header); i += 2 {
		e.Header.Set(header[i], header[i+1])
	}
	return e
}

// refused is an error for Broker.Subscribe, and a response for a request.
type refused struct {
	error
	answer *ResponseError
}

func (e *refused) Unwrap() []error { return []error{e.error, e.answer} }

func refuse(status int, err error, header ...string) error {
	return &refused{err, refusal(status, err.Error(), header...)}
}

// unavailable is for what may work a little later. Clients that are all refused
// at once do not all come back at once.
func unavailable(err error) error {
	return &refused{err, unavailableAnswer(err)}
}

func unavailableAnswer(err error) *ResponseError {
	return refusal(http.StatusServiceUnavailable, err.Error(),
		"Retry-After", strconv.Itoa(1+rand.N(10)))
}

// unreachable is unavailable for what is not told to who asks: only to the Logger,
// and to the caller of Broker.Subscribe.
func unreachable(err error) error {
	if errors.Is(err, ErrShutdown) {
		return unavailable(err)
	}
	return &refused{err, unavailableAnswer(errUnreachable)}
}

var errUnreachable = errors.New("sse: the events cannot be reached now")

func full(what string, limit int) error {
	return unavailable(fmt.Errorf("sse: there are %d %s already, which is the limit", limit, what))
}
