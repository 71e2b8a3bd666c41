package sse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxSentID is the length in bytes of the longest last event ID that the client
// sends. A server that rejects a longer header field would reject every further
// request with this ID, too.
const maxSentID = 8 << 10

// checkSentID returns a *FieldError if the ID is too long to be sent.
func checkSentID(id string) error {
	if len(id) <= maxSentID {
		return nil
	}
	return &FieldError{Field: "id", Value: id,
		Reason: "has more than 8192 bytes: the request does not contain it, and the server " +
			"decides where the stream begins"}
}

// connector sends the requests of a session and follows their redirects.
type connector struct {
	c          *Client
	url        *url.URL
	header     http.Header // of the client, in canonical form
	httpClient http.Client // follows no redirects

	// The following fields describe the last attempt.
	sent          bool // a request was passed to httpClient
	methodChanged bool // a redirect changed the method, because the server has acted
}

func newConnector(c *Client, u *url.URL) connector {
	t := connector{c: c, url: u, header: canonicalHeader(c.Header)}
	if c.HTTPClient != nil {
		t.httpClient = *c.HTTPClient
	}
	t.httpClient.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return t
}

// connect sends the request, follows redirects, and returns the response. The
// watchdog runs while connect waits for a response, and restarts for each
// redirect. It does not run while connect calls GetBody, Prepare or
// CheckRedirect of the caller.
func (t *connector) connect(ctx context.Context, lastID string, wd *watchdog) (
	*http.Response, error) {
	t.sent, t.methodChanged = false, false
	req, err := t.newRequest(ctx, lastID)
	if err != nil {
		return nil, err
	}
	var via []*http.Request
	for {
		t.sent = true
		wd.start()
		// Do adds the cookies of the jar to its request. The next request must
		// not inherit them, so Do gets a copy.
		resp, err := t.httpClient.Do(req.Clone(ctx))
		wd.stop()
		if err != nil {
			return nil, err
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		via = append(via, req)
		next, err := t.newRedirect(req, resp, lastID)
		if err == nil {
			err = t.checkRedirect(next, via)
		}
		if err == http.ErrUseLastResponse {
			return resp, nil
		}
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		t.methodChanged = t.methodChanged || next.Method != req.Method
		req = next
	}
}

// newRequest returns the first request of an attempt.
func (t *connector) newRequest(ctx context.Context, lastID string) (*http.Request, error) {
	body, err := t.newBody()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, t.c.method(), t.url.String(), body)
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %w", stripURL(err))} // the method is invalid
	}
	req.Header = t.header.Clone()
	setDefault(req.Header, "Accept", "text/event-stream")
	setDefault(req.Header, "Cache-Control", "no-cache")
	// Compression collects events into blocks, which delays them.
	setDefault(req.Header, "Accept-Encoding", "identity")
	t.setLastEventID(req, lastID)
	if t.c.Prepare != nil {
		if err := t.c.Prepare(req); err != nil {
			return nil, fmt.Errorf("sse: Client.Prepare: %w", err)
		}
		if err := checkHeader(req.Header); err != nil {
			return nil, &finalError{fmt.Errorf("sse: Client.Prepare: %w", err)}
		}
	}
	return req, nil
}

// newBody returns the body of a request, or nil if there is none.
func (t *connector) newBody() (io.Reader, error) {
	switch {
	case t.c.Body != nil:
		return bytes.NewReader(t.c.Body), nil
	case t.c.GetBody == nil:
		return nil, nil
	}
	body, err := t.c.GetBody()
	if err != nil {
		return nil, fmt.Errorf("sse: Client.GetBody: %w", err)
	}
	return body, nil
}

// setLastEventID makes the request ask for the events after the event with the
// ID. If a header field cannot carry the ID unchanged, the ID goes into the
// query, because [Stream] reads it there too. An ID that is longer than
// maxSentID is not sent: see checkSentID.
func (t *connector) setLastEventID(req *http.Request, id string) {
	req.Header.Del("Last-Event-ID")
	switch {
	case id == "" || len(id) > maxSentID: // session.report reports the latter
	case fitsHeader(id):
		req.Header.Set("Last-Event-ID", id)
	default:
		query := "lastEventId=" + url.QueryEscape(id)
		if req.URL.RawQuery != "" {
			// RawQuery may contain an older lastEventId. Servers read the first
			// one.
			query += "&" + req.URL.RawQuery
		}
		u := *req.URL
		u.RawQuery = query
		req.URL = &u
	}
}

// canonicalHeader returns a copy of header whose names are in canonical form.
// The names in a map literal may have another form, for example "Last-Event-ID":
// net/http would not find such a name, and would send it in addition to the
// canonical name.
func canonicalHeader(header http.Header) http.Header {
	clone := make(http.Header, len(header))
	for name, values := range header {
		name = http.CanonicalHeaderKey(name)
		clone[name] = append(clone[name], values...)
	}
	return clone
}

// setDefault sets a header field unless it is present.
func setDefault(header http.Header, name, value string) {
	if len(header.Values(name)) == 0 {
		header.Set(name, value)
	}
}

// fitsHeader reports whether a header field carries value unchanged: the value
// must contain no control characters, and must not begin or end with white
// space, which would be trimmed.
//
// RFC 9110 5.5
func fitsHeader(value string) bool {
	return isHeaderValue(value) && strings.Trim(value, " \t") == value
}

// isHeaderValue reports whether net/http would send value in a header field.
func isHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// checkHeader returns an error if net/http would refuse to send the header.
func checkHeader(header http.Header) error {
	for name, values := range header {
		if !isHeaderName(name) {
			return fmt.Errorf("%q is not a valid field name", name)
		}
		for _, value := range values {
			if !isHeaderValue(value) {
				return fmt.Errorf("the value of %q contains control characters", name)
			}
		}
	}
	return nil
}

// isHeaderName reports whether name is a token (RFC 9110 5.6.2).
func isHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7F || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}
