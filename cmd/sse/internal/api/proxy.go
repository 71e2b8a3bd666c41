package api

import (
	"net/http"
	"strings"
)

// keysOrInsecure is the argument flag of OnRefused: with one of these flags, the hub
// allows requests through a proxy.
const keysOrInsecure = "--keys FILE or --insecure"

// checkProxy refuses a request that a proxy has forwarded, if RefuseProxies is set.
// checkHost would often accept this request, because many proxies set Host to the
// address of the hub.
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

// forwardingHeader returns the name of a header with which a proxy marks the requests
// that it forwards. It returns "" if there is no such header.
func forwardingHeader(header http.Header) string {
	for _, name := range [...]string{"Via", "Forwarded", "X-Real-Ip"} {
		if header[name] != nil {
			return name
		}
	}
	first := "" // in alphabetical order, so that an error always names the same header
	for name := range header {
		if strings.HasPrefix(name, "X-Forwarded-") && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
