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

// maxSentID is the length in bytes of the longest last event ID that the client sends.
// A server may reject a request with a longer header field. The client could then never
// reconnect, because all its requests would have the same ID.
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

// connector sends the requests of a session (one run of Client.Events) and follows
// redirects.
type connector struct {
	client     *Client
	url        *url.URL    // Client.URL
	header     http.Header // Client.Header, with canonical names
	httpClient http.Client // a copy of Client.HTTPClient that follows no redirects

	// The following fields describe the last attempt.
	sent          bool // a request was passed to httpClient
	methodChanged bool // a redirect changed the method: the server has processed the request
}

func newConnector(client *Client, u *url.URL) connector {
	c := connector{client: client, url: u, header: canonicalHeader(client.Header)}
	if client.HTTPClient != nil {
		c.httpClient = *client.HTTPClient
	}
	c.httpClient.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return c
}

// connect sends the request, follows redirects, and returns the last response. While
// connect waits for a response, the watchdog wd limits the time to Client.IdleTimeout,
// for each request separately. The time that the caller's functions take (GetBody,
// Prepare and CheckRedirect) does not count.
func (c *connector) connect(ctx context.Context, lastID string, wd *watchdog) (
	*http.Response, error) {
	c.sent, c.methodChanged = false, false
	req, err := c.newRequest(ctx, lastID)
	if err != nil {
		return nil, err
	}
	var via []*http.Request
	for {
		c.sent = true
		wd.start()
		// Do adds the cookies of the jar to its request. The next request must
		// not inherit them, so Do gets a copy.
		resp, err := c.httpClient.Do(req.Clone(ctx))
		wd.stop()
		if err != nil {
			return nil, err
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		via = append(via, req)
		next, err := c.newRedirect(req, resp, lastID)
		if err == nil {
			err = c.checkRedirect(next, via)
		}
		if err == http.ErrUseLastResponse {
			return resp, nil
		}
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		c.methodChanged = c.methodChanged || next.Method != req.Method
		req = next
	}
}

// newRequest returns the first request of an attempt.
func (c *connector) newRequest(ctx context.Context, lastID string) (*http.Request, error) {
	body, err := c.newBody()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, c.client.method(), c.url.String(), body)
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %w", stripURL(err))} // the method is invalid
	}
	req.Header = c.header.Clone()
	setDefault(req.Header, "Accept", "text/event-stream")
	setDefault(req.Header, "Cache-Control", "no-cache")
	// A server that compresses may delay events until it has a whole block.
	setDefault(req.Header, "Accept-Encoding", "identity")
	c.setLastEventID(req, lastID)
	if c.client.Prepare != nil {
		if err := c.client.Prepare(req); err != nil {
			return nil, fmt.Errorf("sse: Client.Prepare: %w", err)
		}
		if err := checkHeader(req.Header); err != nil {
			return nil, &finalError{fmt.Errorf("sse: Client.Prepare: %w", err)}
		}
	}
	return req, nil
}

// newBody returns the body of a request, or nil if there is none.
func (c *connector) newBody() (io.Reader, error) {
	switch {
	case c.client.Body != nil:
		return bytes.NewReader(c.client.Body), nil
	case c.client.GetBody == nil:
		return nil, nil
	}
	body, err := c.client.GetBody()
	if err != nil {
		return nil, fmt.Errorf("sse: Client.GetBody: %w", err)
	}
	return body, nil
}

// setLastEventID makes the request ask for the events after the event with the ID. It
// sets the header field Last-Event-ID or, if the field cannot carry the ID unchanged,
// the query parameter lastEventId, because [Accept] and [Broker] read both. An ID that
// is longer than maxSentID is not sent: see checkSentID.
func (c *connector) setLastEventID(req *http.Request, id string) {
	req.Header.Del("Last-Event-ID")
	switch {
	case id == "" || len(id) > maxSentID: // session.report logs that the ID is too long
	case fitsHeader(id):
		req.Header.Set("Last-Event-ID", id)
	default:
		query := "lastEventId=" + url.QueryEscape(id)
		if req.URL.RawQuery != "" {
			// RawQuery may contain an older lastEventId. The new lastEventId comes
			// first, because Accept and Broker read only the first.
			query += "&" + req.URL.RawQuery
		}
		u := *req.URL
		u.RawQuery = query
		req.URL = &u
	}
}

// canonicalHeader returns a copy of header with canonical names. A name in a map
// literal may have another form, for example "Last-Event-ID" instead of
// "Last-Event-Id". The methods of http.Header do not find such a name, so the request
// could have the field twice.
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
