package api

import (
	"net/http"
	"strings"
)

// keysOrInsecure are the flags that allow requests through a proxy.
const keysOrInsecure = "--keys FILE or --insecure"

// checkProxy refuses a request that a proxy has forwarded, if the hub is open
// only because no other machine can reach it. Such a proxy often rewrites Host,
// so checkHost accepts the request.
func (a *API) checkProxy(r *http.Request) error {
	if !a.RefuseProxies {
		return nil
	}
	name := forwardingHeader(r.Header)
	if name == "" {
		return nil
	}
	a.reportOnce("a request through a proxy", keysOrInsecure)
	return problemf(http.StatusForbidden, "this hub has no keys, and the request came through a "+
		"proxy (it has the header %s); start the hub with --keys FILE, "+
		"or with --insecure to allow every client of the proxy", name)
}

// forwardingHeader returns the name of a header that proxies add to the requests
// that they forward, or "".
func forwardingHeader(header http.Header) string {
	for _, name := range [...]string{"Via", "Forwarded", "X-Real-Ip"} {
		if header[name] != nil {
			return name
		}
	}
	first := "" // in the order of the alphabet
	for name := range header {
		if strings.HasPrefix(name, "X-Forwarded-") && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
