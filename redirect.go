package sse

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is the number of redirects that the client follows at most in one attempt,
// as in browsers (Fetch 4.4).
const maxRedirects = 20

// isRedirect reports whether resp redirects to another URL.
func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// newRedirect returns the request to the URL to which resp, the response to req,
// redirects the client.
//
// Fetch 4.4, "HTTP-redirect fetch". Of the header that the caller has set, another
// origin receives only the fields in crossOriginHeaders, because any other field may be
// a credential. The other origin also receives the last event ID. (A browser would first
// ask that origin which fields it may send: CORS.)
func (c *connector) newRedirect(req *http.Request, resp *http.Response, lastID string) (
	*http.Request, error) {
	target, err := resp.Location()
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %s: Location is not a valid URL: %w", resp.Status,
			parseError(resp.Header.Get("Location"), err))}
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, &finalError{fmt.Errorf("sse: %s: redirected to a URL with the scheme %q and "+
			"the host %q: it must be an http or https URL", resp.Status, target.Scheme, target.Host)}
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
		if body, err = c.newBody(); err != nil {
			return nil, err
		}
	}
	next, err := http.NewRequestWithContext(req.Context(), method, target.String(), body)
	if err != nil {
		return nil, &finalError{fmt.Errorf("sse: %s: %w", resp.Status,
			parseError(target.String(), err))}
	}
	next.Header = redirectHeader(req, next)
	if req.Host != req.URL.Host && sameOrigin(req.URL, next.URL) {
		next.Host = req.Host // Prepare has set it
	}
	c.setLastEventID(next, lastID)
	next.Response = resp
	return next, nil
}

// crossOriginHeaders lists the header fields that another origin may receive.
var crossOriginHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control",
	"Content-Encoding", "Content-Language", "Content-Type", "User-Agent",
}

// redirectHeader returns the header for next, the request that follows req.
func redirectHeader(req, next *http.Request) http.Header {
	header := req.Header.Clone()
	if !sameOrigin(req.URL, next.URL) {
		header = make(http.Header)
		for _, name := range crossOriginHeaders {
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

// sameOrigin reports whether a and b have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) &&
		port(a) == port(b)
}

// port returns the port of u, or the default port of its scheme.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// checkRedirect returns an error if there were more than maxRedirects redirects, or the
// error of CheckRedirect in the caller's http.Client. The error is final, with one
// exception: if CheckRedirect returns http.ErrUseLastResponse, the client uses the
// redirect itself as the response.
func (c *connector) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &finalError{fmt.Errorf("sse: too many redirects: at most %d are followed",
			maxRedirects)}
	}
	if c.client.HTTPClient == nil || c.client.HTTPClient.CheckRedirect == nil {
		return nil
	}
	err := c.client.HTTPClient.CheckRedirect(next, via)
	if err == nil || err == http.ErrUseLastResponse {
		return err
	}
	return &finalError{err}
}
