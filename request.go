package sse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects a browser follows (Fetch 4.4).
const maxRedirects = 20

// maxSentID is the longest ID that is asked for. Servers refuse requests with
// longer ones for good, which would end the stream.
const maxSentID = 4 << 10

func (s *session) method() string {
	if s.c.Method == "" {
		return http.MethodGet
	}
	return s.c.Method
}

// connect sends the request, following redirects, and returns the response.
// The dog watches while a response is awaited, for each redirect anew, and not
// while the caller's functions run.
func (s *session) connect(ctx context.Context, dog *watchdog) (*http.Response, error) {
	req, err := s.newRequest(ctx)
	if err != nil {
		return nil, err
	}
	var via []*http.Request
	for {
		dog.start()
		// A copy, as Do adds the jar's cookies, which the next hop must not inherit.
		resp, err := s.http.Do(req.Clone(ctx))
		dog.stop()
		if err != nil {
			return nil, err
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		via = append(via, req)
		next, err := s.redirect(req, resp)
		if err == nil {
			err = s.mayFollow(next, via)
		}
		if err == http.ErrUseLastResponse {
			return resp, nil
		}
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		req = next
	}
}

// newRequest makes the request of an attempt.
func (s *session) newRequest(ctx context.Context) (*http.Request, error) {
	body, err := s.body()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, s.method(), s.url.String(), body)
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %w", err)} // the method
	}
	req.Header = s.header.Clone()
	setDefault(req.Header, "Accept", "text/event-stream")
	setDefault(req.Header, "Cache-Control", "no-cache")
	// A compressed stream arrives late, in the blocks of its compression.
	setDefault(req.Header, "Accept-Encoding", "identity")
	s.setLastEventID(req)
	if s.c.Prepare != nil {
		if err := s.c.Prepare(req); err != nil {
			return nil, fmt.Errorf("sse: Client.Prepare: %w", err)
		}
		if err := checkHeader(req.Header); err != nil {
			return nil, &finalError{fmt.Errorf("sse: Client.Prepare: %w", err)}
		}
	}
	return req, nil
}

func (s *session) body() (io.Reader, error) {
	if s.c.GetBody == nil {
		return nil, nil
	}
	body, err := s.c.GetBody()
	if err != nil {
		return nil, fmt.Errorf("sse: Client.GetBody: %w", err)
	}
	return body, nil
}

// canonical returns a copy of header whose names are in canonical form. Those of
// a map literal, such as "Last-Event-ID", need not be: net/http does not find
// them, and would send them beside those that it does.
func canonical(header http.Header) http.Header {
	clone := make(http.Header, len(header))
	for name, values := range header {
		name = http.CanonicalHeaderKey(name)
		clone[name] = append(clone[name], values...)
	}
	return clone
}

func setDefault(header http.Header, name, value string) {
	if len(header.Values(name)) == 0 {
		header.Set(name, value)
	}
}

// setLastEventID asks for what follows the last event. An ID that a header
// would not carry as it is goes into the query instead, where [Stream] looks
// for it too. One that is too long for either is not sent.
func (s *session) setLastEventID(req *http.Request) {
	req.Header.Del("Last-Event-ID")
	switch {
	case s.lastID == "":
	case len(s.lastID) > maxSentID:
		s.log.Warn("sse: the last event ID is too long to be sent", "bytes", len(s.lastID))
	case fitsHeader(s.lastID):
		req.Header.Set("Last-Event-ID", s.lastID)
	default:
		query := "lastEventId=" + url.QueryEscape(s.lastID)
		if req.URL.RawQuery != "" {
			query += "&" + req.URL.RawQuery // which may have one that is older
		}
		u := *req.URL
		u.RawQuery = query
		req.URL = &u
	}
}

// fitsHeader reports whether a header field carries value unchanged: it has no
// controls, and begins and ends with no white space, which is trimmed.
//
// RFC 9110 5.5
func fitsHeader(value string) bool {
	return validHeaderValue(value) && strings.Trim(value, " \t") == value
}

func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// checkHeader reports a field that net/http would refuse to send, every time.
func checkHeader(header http.Header) error {
	for name, values := range header {
		if !validHeaderName(name) {
			return fmt.Errorf("%q is not a valid field name", name)
		}
		for _, value := range values {
			if !validHeaderValue(value) {
				return fmt.Errorf("the value of %q contains control characters", name)
			}
		}
	}
	return nil
}

// validHeaderName reports whether name is a token (RFC 9110 5.6.2).
func validHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7F || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// redirect makes the request that follows req.
//
// Fetch 4.4, "HTTP-redirect fetch". To another origin it goes without what the
// caller has set, which may be credentials under any name; a browser would ask
// that origin first.
func (s *session) redirect(req *http.Request, resp *http.Response) (*http.Request, error) {
	target, err := resp.Location()
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %s: %w", resp.Status, err)}
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, &finalError{fmt.Errorf("sse: %s: redirected to %q, which is not http",
			resp.Status, target)}
	}
	method := req.Method
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound:
		if method == http.MethodPost {
			method = http.MethodGet
		}
	case http.StatusSeeOther:
		if method != http.MethodHead {
			method = http.MethodGet
		}
	}
	var body io.Reader
	if method == req.Method {
		if body, err = s.body(); err != nil {
			return nil, err
		}
	}
	next, err := http.NewRequestWithContext(req.Context(), method, target.String(), body)
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %s: %w", resp.Status, err)}
	}
	next.Header = redirectHeader(req, next)
	if req.Host != req.URL.Host && sameOrigin(req.URL, next.URL) {
		next.Host = req.Host // as Prepare has set it
	}
	s.setLastEventID(next)
	next.Response = resp
	return next, nil
}

// harmless are the header fields that another origin may see.
var harmless = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control",
	"Content-Encoding", "Content-Language", "Content-Type", "User-Agent",
}

// redirectHeader is the header of the request that follows req.
func redirectHeader(req, next *http.Request) http.Header {
	header := req.Header.Clone()
	if !sameOrigin(req.URL, next.URL) {
		header = make(http.Header)
		for _, name := range harmless {
			if values, ok := req.Header[name]; ok {
				header[name] = values
			}
		}
	}
	if next.Method != req.Method {
		for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Type"} {
			header.Del(name)
		}
	}
	return header
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) &&
		port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// mayFollow applies the limit, and the policy of the caller's http.Client.
func (s *session) mayFollow(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &finalError{fmt.Errorf("sse: stopped after %d redirects", maxRedirects)}
	}
	if s.c.HTTPClient == nil || s.c.HTTPClient.CheckRedirect == nil {
		return nil
	}
	err := s.c.HTTPClient.CheckRedirect(next, via)
	if err == nil || err == http.ErrUseLastResponse {
		return err
	}
	return &finalError{err}
}
