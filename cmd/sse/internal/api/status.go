package api

import "net/http"

// ServerName is the value of the header Server in responses of /-/healthz. It
// identifies a hub.
const ServerName = "sse"

// The paths that answer the checks of load balancers.
const (
	healthPath = "/-/healthz"
	readyPath  = "/-/readyz"
)

// secretFlag is the flag of curl and sse that sends a key, whose secret is in a
// variable of the shell.
const secretFlag = `-H "Authorization: Bearer $SECRET"`

// Examples returns a command that subscribes to a topic and one that publishes
// to it, for a hub whose address or URL is base.
func Examples(base string, needsKey bool) (subscribe, publish string) {
	flag := ""
	if needsKey {
		flag = secretFlag + " "
	}
	return "curl -N " + flag + base + "/news", "curl -d hello " + flag + base + "/news"
}

// serveRoot answers a request for the path / with a short introduction to the
// hub.
func (a *API) serveRoot(w http.ResponseWriter, r *http.Request) error {
	if !isRead(r) {
		return problemf(http.StatusBadRequest, "the path must name a topic, for example /news")
	}
	base := "http://" + r.Host
	subscribe, publish := Examples(base, !a.Authority.Open())
	return respond(w, r, "This is a hub for Server-Sent Events. Its topics are paths:\n\n"+
		"  "+subscribe+"\n  "+publish+"\n\nFor health checks, use "+base+healthPath+
		": other paths, such as /health, are topics.\n", nil)
}

// reportHealth answers as long as the process runs.
func (a *API) reportHealth(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Server", ServerName)
	return respond(w, r, "ok\n", nil)
}

// reportReadiness reports whether a load balancer should send clients to this
// hub.
func (a *API) reportReadiness(w http.ResponseWriter, r *http.Request) error {
	if a.Closing.Err() != nil {
		return problemf(http.StatusServiceUnavailable, "the hub is shutting down")
	}
	if _, err := a.Broker.Position(r.Context()); err != nil {
		return problemf(http.StatusServiceUnavailable, "the event log is not available")
	}
	return respond(w, r, "ready\n", nil)
}
