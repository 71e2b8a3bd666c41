package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// A browser on this machine can reach a hub that listens on loopback, and so
// can every page in that browser. Three rules keep out the pages of other
// sites:
//
//   - Unless Options.AnyHost is set, the header Host must contain an allowed name
//     or any IP address. A page of evil.example can make its name resolve to this
//     machine (DNS rebinding). The browser then treats the hub as a part of that
//     page's site, but it still sends the Host evil.example.
//   - A request that writes must come from the hub's own origin, from one of
//     Options.Origins, or from a program that is not a browser.
//     http.CrossOriginProtection checks this rule.
//   - A request that reads must have one of these sources, too. A browser hides the
//     response from a page of another site, but the page could hold many streams
//     open. There is one exception: a person may follow a link from a page of
//     another site to the hub.
//
// If Options.Origins contains "*", the pages of all sites may send requests. If
// a request is allowed only by "*", the hub ignores its cookies.

// anyOrigin is the item of Options.Origins that allows all origins.
const anyOrigin = "*"

// maxReported is how many different host names and origins the API reports when
// it refuses them. It remembers these names and origins, and reports each once.
const maxReported = 100

// checkHost refuses requests for host names that the hub does not serve. A request
// may have a whole URL in place of a path:
//
// RFC 9112 3.2.2: "A server MUST accept the absolute-form in requests"
func (a *API) checkHost(r *http.Request) error {
	if u := r.URL; u.Scheme != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return problemf(http.StatusBadRequest,
			"%s must be a path, or an http or https URL with a host", text.Quote(r.RequestURI))
	}
	if a.AnyHost || isHealthCheck(r.URL) {
		return nil
	}
	if last := a.lastHost.Load(); last != nil && *last == r.Host {
		return nil
	}
	if err := a.checkHostName(r.Host); err != nil {
		return err
	}
	host := strings.Clone(r.Host) // r.Host may be a part of a larger string
	a.lastHost.Store(&host)
	return nil
}

// isHealthCheck reports whether u is a path for the health checks of load
// balancers. Such a check often has no Host, or a name that only the load balancer
// uses. The response contains nothing secret, so any Host is allowed.
func isHealthCheck(u *url.URL) bool { return u.Path == healthPath || u.Path == readyPath }

func (a *API) checkHostName(host string) error {
	if isAddress(host) {
		return nil
	}
	name := strings.ToLower(host)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(name, ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || a.hosts[name] {
		return nil
	}
	flag := "--host NAME"
	if name != "" && !strings.ContainsFunc(name, isUnsafeInName) {
		flag = "--host " + name
	}
	a.reportOnce("the host "+text.Quote(name), flag)
	return problemf(http.StatusMisdirectedRequest,
		"this hub does not serve the host %s; its flag %s would allow it", text.Quote(name), flag)
}

// isUnsafeInName reports whether a host name that contains r is unsafe to copy to a
// command line.
func isUnsafeInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// isAddress reports whether a Host is an IP address, with or without a port. It also
// returns true for a port without a host, such as ":3000".
func isAddress(host string) bool {
	if host == "" || host[0] != '[' && (host[0] < '0' || host[0] > '9') {
		return host != "" && host[0] == ':' // some clients send only a port
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// anyOriginKey is a key in the context of a request. The context has a value for this
// key if only the origin * allows the request.
type anyOriginKey struct{}

// needsAnyOrigin reports whether only the origin * allows a request.
func needsAnyOrigin(r *http.Request) bool { return r.Context().Value(anyOriginKey{}) != nil }

// checkOrigin refuses a request from a page whose origin is not allowed. For an
// origin that Options.Origins allows, it sets the response headers without which the
// browser would hide the response from the page. It returns the request to handle. If
// only the origin * allows the request, the returned request has no cookies. With
// cookies, any page of the same site, for example on another port of this host, could
// use the session of the person who opens the page.
func (a *API) checkOrigin(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	origin, site := firstHeader(r, "Origin"), firstHeader(r, "Sec-Fetch-Site")
	if origin == "" && site == "" {
		return r, nil // not a browser, or an old browser that reads from its own origin
	}
	header := w.Header()
	switch {
	case a.isListed(origin):
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
	case origin != "" && a.origins[anyOrigin]:
		header.Set("Access-Control-Allow-Origin", anyOrigin)
	}
	if header["Access-Control-Allow-Origin"] != nil {
		header.Set("Access-Control-Expose-Headers", "Link, Retry-After, Idempotent-Replayed")
	}
	switch {
	case a.isTrusted(r, origin, site):
		return r, nil
	case a.origins[anyOrigin]:
		r = r.Clone(context.WithValue(r.Context(), anyOriginKey{}, true))
		r.Header.Del("Cookie")
		return r, nil
	}
	return r, a.refuseOrigin(origin)
}

// isListed reports whether Origins contains this origin itself, and not only "*".
func (a *API) isListed(origin string) bool {
	return origin != "" && origin != "null" && origin != anyOrigin && a.origins[origin]
}

// isTrusted reports whether a request is allowed without the origin *, and so may use
// cookies. origin and site are its headers Origin and Sec-Fetch-Site.
func (a *API) isTrusted(r *http.Request, origin, site string) bool {
	switch {
	case a.isListed(origin):
		return true
	case !isRead(r) && r.Method != http.MethodOptions:
		return a.protection.Check(r) == nil
	case site == "same-origin" || site == "none":
		return true
	case isRead(r) && firstHeader(r, "Sec-Fetch-Mode") == "navigate":
		return true // a person follows a link; the page with the link cannot read the response
	}
	return site == "" && isOwnOrigin(origin, r.Host)
}

// isOwnOrigin reports whether an origin has the same host and port as the request.
// It is for old browsers, which do not send Sec-Fetch-Site.
func isOwnOrigin(origin, host string) bool {
	_, name, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(name, host)
}

func (a *API) refuseOrigin(origin string) error {
	if origin == "" || origin == "null" || strings.ContainsFunc(origin, func(r rune) bool {
		return r <= ' ' || r >= 0x7F
	}) {
		return problemf(http.StatusForbidden,
			"pages of other sites may not use this hub, and this page has no valid Origin")
	}
	flag := "--cors " + origin
	a.reportOnce("the origin "+text.Quote(origin), flag)
	return problemf(http.StatusForbidden,
		"pages of %s may not use this hub; its flag %s would allow them", text.Quote(origin), flag)
}

// reportOnce calls OnRefused, unless it was called with this subject before, or
// with maxReported other subjects.
func (a *API) reportOnce(subject, flag string) {
	a.mu.Lock()
	skip := a.reported[subject] || len(a.reported) >= maxReported
	if !skip {
		a.reported[subject] = true
	}
	a.mu.Unlock()
	if !skip && a.OnRefused != nil {
		a.OnRefused(subject, flag)
	}
}

// preflight answers an OPTIONS request, with which a browser asks whether a page of
// another origin may send a request.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
	if header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
		header.Set("Access-Control-Allow-Headers",
			"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Cache-Control")
		header.Set("Access-Control-Max-Age", "600")
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			header.Set("Access-Control-Allow-Private-Network", "true")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
