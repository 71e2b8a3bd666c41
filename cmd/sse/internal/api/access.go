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
//   - The Host of a request must be an allowed name. If the name of a page
//     resolves to this machine (DNS rebinding), the browser takes the hub for
//     the page's own origin, but the Host is the page's name. IP addresses are
//     not names and are always allowed.
//   - A request that writes must come from the hub's own origin, from one of
//     Origins, or from a program that is not a browser
//     (http.CrossOriginProtection).
//   - A request that reads must, too: browsers hide the response from other
//     pages, but such a page could keep a stream open.

// anyOrigin among the origins allows all origins.
const anyOrigin = "*"

// maxReported bounds how many refused names and origins are reported and
// remembered.
const maxReported = 100

// checkHost refuses requests for host names that the hub does not serve.
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
	host := strings.Clone(r.Host) // r.Host may share the memory of the whole request
	a.lastHost.Store(&host)
	return nil
}

// isHealthCheck reports whether a path answers the checks of load balancers,
// which often send no Host, or an address of their own. Its response has nothing
// that a page may not know.
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

// isUnsafeInName reports whether r must not be in a host name that an operator
// may copy to a command line.
func isUnsafeInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// isAddress reports whether a Host is an IP address, with or without a port.
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

// crossOriginKey is the key of a mark in the context of the requests that only
// the origin * allows.
type crossOriginKey struct{}

// isCrossOrigin reports whether only the origin * allows a request.
func isCrossOrigin(r *http.Request) bool { return r.Context().Value(crossOriginKey{}) != nil }

// checkOrigin refuses requests from pages of other origins. For allowed origins
// it sets the headers that browsers need. It returns the request to handle. If
// only the origin * allows the request, the returned request has no cookies:
// otherwise any page of the same site could use the key of the person who opens
// the page.
func (a *API) checkOrigin(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	origin, site := firstHeader(r, "Origin"), firstHeader(r, "Sec-Fetch-Site")
	if origin == "" && site == "" {
		return r, nil // not a browser
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
		r = r.Clone(context.WithValue(r.Context(), crossOriginKey{}, true))
		r.Header.Del("Cookie")
		return r, nil
	}
	return r, a.refuseOrigin(origin)
}

// isListed reports whether an origin is one of Origins.
func (a *API) isListed(origin string) bool {
	return origin != "" && origin != "null" && origin != anyOrigin && a.origins[origin]
}

// isTrusted reports whether a page of an origin may send this request, and may
// use cookies.
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

// isOwnOrigin reports whether an origin is the hub's own. It serves browsers
// that send no Sec-Fetch-Site.
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

// reportOnce calls OnRefused the first time that subject is refused.
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

// preflight answers a browser's question whether a page may send a request.
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
