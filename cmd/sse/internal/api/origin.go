package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A browser on this machine reaches a hub that listens on loopback, and so does
// every page in it. Three things keep pages of others out:
//
//   - The Host must be one that is known. A page whose name is made to resolve to
//     this machine (DNS rebinding) is of the hub's origin for its browser, but
//     asks with that name. Addresses are no names, and always good.
//   - What writes must come from the hub's own origin, one of Origins, or from what
//     is no page (http.CrossOriginProtection).
//   - What reads, too: browsers let no other page see the answer, but would keep a
//     stream open for it.

// anyOrigin among the origins allows all of them.
const anyOrigin = "*"

// maxTold bounds how many names are remembered as told.
const maxTold = 100

// checkHost refuses names that are not the hub's.
//
// RFC 9112 3.2.2: "A server MUST accept the absolute-form in requests"
func (a *API) checkHost(r *http.Request) error {
	if u := r.URL; u.Scheme != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return problemf(http.StatusBadRequest,
			"%s is neither a path nor a URL of http with a host", shorten(r.RequestURI))
	}
	if a.AnyHost {
		return nil
	}
	if last := a.host.Load(); last != nil && *last == r.Host {
		return nil
	}
	if err := a.findHost(r.Host); err != nil {
		return err
	}
	host := strings.Clone(r.Host) // not what it is a part of
	a.host.Store(&host)
	return nil
}

func (a *API) findHost(asked string) error {
	if isAddress(asked) {
		return nil
	}
	name := strings.ToLower(asked)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(name, ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || a.hosts[name] {
		return nil
	}
	flag := "--host NAME"
	if name != "" && !strings.ContainsFunc(name, isOdd) {
		flag = "--host " + name
	}
	a.tell("the host "+shorten(name), flag)
	return problemf(http.StatusMisdirectedRequest,
		"this hub is not %s: it allows that name with %s", shorten(name), flag)
}

func isOdd(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// isAddress reports whether a Host is an IP address, perhaps with a port.
func isAddress(host string) bool {
	if host == "" || host[0] != '[' && (host[0] < '0' || host[0] > '9') {
		return host != "" && host[0] == ':' // a port alone, as some clients have it
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// checkOrigin refuses pages of other origins, and tells browsers of those that it
// does not.
func (a *API) checkOrigin(w http.ResponseWriter, r *http.Request) error {
	origin, site := headerOf(r, "Origin"), headerOf(r, "Sec-Fetch-Site")
	if origin == "" && site == "" {
		return nil // not a browser
	}
	header := w.Header()
	switch {
	case origin != "" && origin != "null" && a.origins[origin]:
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
	case origin != "" && a.origins[anyOrigin]:
		header.Set("Access-Control-Allow-Origin", anyOrigin)
	}
	if header["Access-Control-Allow-Origin"] != nil {
		header.Set("Access-Control-Expose-Headers", "Link, Retry-After, Idempotent-Replayed")
	}
	if !a.mayUse(r, origin, site) {
		return a.refuseOrigin(origin)
	}
	return nil
}

// mayUse reports whether a page of an origin may send this request.
func (a *API) mayUse(r *http.Request, origin, site string) bool {
	switch {
	case a.origins[anyOrigin], a.origins[origin] && origin != "null":
		return true
	case !isRead(r) && r.Method != http.MethodOptions:
		return a.protection.Check(r) == nil
	case site == "same-origin" || site == "none":
		return true
	case isRead(r) && isNavigation(r):
		return true // which gets a page, and no events
	}
	return site == "" && isOwnOrigin(origin, r.Host)
}

// isOwnOrigin reports whether an origin is that of the hub itself, for browsers that
// do not say.
func isOwnOrigin(origin, host string) bool {
	_, name, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(name, host)
}

func (a *API) refuseOrigin(origin string) error {
	if origin == "" || origin == "null" || strings.ContainsFunc(origin, func(r rune) bool {
		return r <= ' ' || r >= 0x7F
	}) {
		return problemf(http.StatusForbidden,
			"a page of another site, which does not say its origin, may not use this hub")
	}
	a.tell("the origin "+shorten(origin), "--cors "+origin)
	return problemf(http.StatusForbidden, "pages of %s may not use this hub: it allows them with %s",
		shorten(origin), "--cors "+origin)
}

// tell tells once of what was refused.
func (a *API) tell(what, flag string) {
	a.mu.Lock()
	is := a.told[what] || len(a.told) >= maxTold
	if !is {
		a.told[what] = true
	}
	a.mu.Unlock()
	if !is && a.Refused != nil {
		a.Refused(what, flag)
	}
}

// preflight answers the question whether a page may send a request.
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

// isNavigation reports whether a person has opened the path in a browser, rather
// than a page has asked for it.
func isNavigation(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return true
	}
	return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
}

// isPart reports whether a browser wants an image, a script or another part of a
// page. What a script reads has the destination "empty".
func isPart(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return dest != "" && dest != "empty"
}

// isPrefetch reports whether a browser asks in case somebody will want it.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.HasPrefix(r.Header.Get(name), "prefetch") {
			return true
		}
	}
	return false
}
