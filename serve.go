package sse

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
)

// ServeHTTP answers with a stream of events. It returns when the stream has ended, or
// at once if the stream is parked (see [Broker.Park]). The documentation of [Broker]
// describes the query and the header of the request. On HTTP/1, the connection closes
// at the end of the stream.
//
// If [Broker.Select] returns a [*ResponseError], ServeHTTP sends the response that this
// error describes. If ServeHTTP refuses a request for another reason, the response is a
// text with the status
//
//   - 400 if the request is malformed, or if a topic or the [Selection] is invalid;
//   - 405 if the method is neither GET nor HEAD;
//   - 410 if events that the client asks for are lost, and Selection.Loss is [LossRefuse];
//   - 503 and Retry-After if the request exceeds a limit, if Shutdown has begun,
//     or if the broker cannot reach the Log;
//   - 500 if Select returns another error, if the broker's configuration is invalid
//     (see [Broker.Validate]), or if middleware has wrapped w in a type that cannot
//     stream (see [WriterError]).
//
// In most cases, the text gives the reason. If the Log fails, or if Select returns
// another error, the text is general, and only Logger receives the reason.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.serve(w, r, b.selection); err != nil {
		writeRefusal(w, r, b.Logger, err)
	}
}

// Handler returns a handler that serves the events of the given topics, or the events
// without a topic if no topics are given. The handler answers as ServeHTTP does, with
// two exceptions: the query of a request cannot select other topics, and the handler
// does not call Select. Every client that reaches the handler receives the events. If
// a topic is invalid, the handler responds with status 500, and logs the reason.
func (b *Broker) Handler(topics ...string) http.Handler {
	fixed := Selection{Topics: slices.Clone(topics)}
	invalid := fixed.check()
	selection := func(r *http.Request) (Selection, error) {
		if invalid != nil {
			return Selection{}, fmt.Errorf("sse: Broker.Handler: %w", invalid)
		}
		query, err := parseQuery(r)
		return Selection{Topics: fixed.Topics, WithTopic: query.Has("withTopic")}, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := b.serve(w, r, selection); err != nil {
			writeRefusal(w, r, b.Logger, err)
		}
	})
}

// serve serves a stream of the events that sel selects for the request. If serve
// returns an error, it has not written to w.
func (b *Broker) serve(w http.ResponseWriter, r *http.Request,
	sel func(*http.Request) (Selection, error)) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return newRefusal(http.StatusMethodNotAllowed,
			"sse: the method of a stream must be GET, not "+r.Method, "Allow", "GET, HEAD")
	}
	st, err := b.start(r.Context())
	switch {
	case isConfigError(err):
		b.logConfigError(err)
		return refuseWith(http.StatusInternalServerError, err)
	case err != nil:
		return unreachable(err)
	}
	p := pendingStream{remote: hostOf(r.RemoteAddr)}
	if err := st.acquireStream(p.remote); err != nil {
		return err
	}
	parked := false
	defer func() {
		st.streamBegun(&p)
		if !parked {
			st.releaseStream(p.remote, p.key)
		}
	}()
	if err := b.admitRequest(st, r, sel, &p); err != nil {
		return err
	}
	st.beginStream(&p)
	why, park := b.canPark(w, r, p.subscriber)
	if park {
		why, park = st.loops.accept(st, connType(w))
	}
	if park {
		parked = st.loops.park(w, r, &p) == nil
		return nil // park has begun the response
	}
	b.hold(st, w, r, &p, why)
	return nil
}

// logConfigError logs that the broker's fields are invalid, but only once.
func (b *Broker) logConfigError(err error) {
	b.state.logConfig.Do(func() {
		if b.Logger != nil {
			b.Logger.Error("sse: a broker refuses all requests", "error", err)
		}
	})
}

// admitRequest creates the subscriber for a request, and stores it in p.
func (b *Broker) admitRequest(st *state, r *http.Request,
	selection func(*http.Request) (Selection, error), p *pendingStream) error {
	sel, err := selection(r)
	if err != nil {
		return err
	}
	if err := st.acquireKey(sel.Key); err != nil {
		return err
	}
	p.key = sel.Key
	start, asked, err := requestStart(r)
	if err != nil {
		return newRefusal(http.StatusBadRequest, err.Error())
	}
	p.subscriber, err = st.admit(r.Context(), &sel, start, asked, r.RemoteAddr)
	p.topics, p.patterns = sel.topicNames(), sel.Patterns
	return err
}

// selection returns the selection of a request to ServeHTTP: the result of Select or,
// if Select is nil, the topics in the query.
func (b *Broker) selection(r *http.Request) (Selection, error) {
	if b.Select != nil {
		return b.Select(r)
	}
	query, err := parseQuery(r)
	return Selection{Topics: query["topic"], WithTopic: query.Has("withTopic")}, err
}

// parseQuery returns the query of a request. It does not ignore a malformed part of the
// query but returns an error, because that part may name a topic.
func parseQuery(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newRefusal(http.StatusBadRequest, "sse: malformed query: "+err.Error())
	}
	return query, nil
}

// canPark reports whether the stream of a request can be parked, that is, can wait
// without a goroutine. If Park is set but the stream must wait in its handler's
// goroutine (it is held), why is the reason.
func (b *Broker) canPark(w http.ResponseWriter, r *http.Request, s *subscriber) (
	why string, park bool) {
	if !b.Park || r.Method != http.MethodGet {
		return "", false
	}
	why = holdReason(w, r, s)
	return why, why == ""
}

// holdReason returns the property of a request, a response or a subscriber that
// prevents parking, or "".
func holdReason(w http.ResponseWriter, r *http.Request, s *subscriber) string {
	switch {
	case s.opts.filter != nil: // a slow filter would delay other parked streams
		return "the selection has a Filter"
	case r.TLS != nil:
		return "TLS in this process"
	case r.ProtoMajor != 1:
		return r.Proto
	case r.ContentLength != 0:
		return "the request has a body"
	case w.Header().Get("Transfer-Encoding") != "":
		return "the response has a Transfer-Encoding of its own"
	}
	if t := reflect.TypeOf(w).String(); t != "*http.response" {
		return "the response is wrapped by " + t
	}
	if _, ok := w.(http.Hijacker); !ok {
		return "the response cannot be hijacked"
	}
	return ""
}

// connType returns the type of the connection that w.Hijack would return, or nil if the
// type is unknown. It does not call Hijack, because a hijacked connection cannot carry a
// held stream. Instead it reads the fields conn and rwc of net/http's response by
// reflection. They are not exported, so another version of Go may not have them.
func connType(w http.ResponseWriter) reflect.Type {
	v := reflect.ValueOf(w)
	for _, name := range [...]string{"conn", "rwc"} {
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			return nil
		}
		v = v.Elem().FieldByName(name)
	}
	if v.Kind() != reflect.Interface || v.IsNil() {
		return nil
	}
	return v.Elem().Type()
}

// hold serves a stream in the goroutine of its handler.
func (b *Broker) hold(st *state, w http.ResponseWriter, r *http.Request, p *pendingStream,
	why string) {
	s := p.subscriber
	// If watched is true, the broker's timers end writes that are blocked for too
	// long. The timers look at each subscriber at least once per heartbeat interval, so
	// the interval must not be longer than WriteTimeout. On HTTP/2, a stream that
	// expires is not watched: each of its writes needs a deadline of its own, because
	// transmitLocked removes the deadline after each write.
	watched := st.timers.heartbeat > 0 && st.timers.heartbeat <= st.stream.WriteTimeout &&
		(s.expires() == 0 || r.ProtoMajor == 1)
	stream, err := accept(w, r, &st.stream,
		&Stream{brokerOwned: true, watched: watched, expires: s.expires()}, st.renderer.preface(s))
	if err != nil {
		return // accept has answered
	}
	h := &held{st: st, s: s, stream: stream, why: why, woken: make(chan struct{}, 1)}
	s.transport = h
	err = st.enter(s, p.topics, p.patterns)
	st.streamBegun(p)
	if err != nil {
		h.sendRetry(err)
		_ = stream.Close()
		return
	}
	cause := ErrClosed // if a hook or the filter panics
	defer stream.Close()
	defer func() { st.disconnect(s, cause) }()
	st.hooks.callOnConnect(s)
	cause = h.run()
}
