package api

import "net/http"

// ServerName is the value of the header Server in responses of /-/healthz. It
// identifies a hub.
const ServerName = "sse"

// serveRoot answers a request for the path / with a short introduction to the
// hub.
func (a *API) serveRoot(w http.ResponseWriter, r *http.Request) error {
	if !isRead(r) {
		return problemf(http.StatusBadRequest, "the path must name a topic, for example /news")
	}
	base := "http://" + r.Host
	return respond(w, r, "This is a hub for Server-Sent Events. Its topics are paths:\n\n"+
		"  curl -N "+base+"/news\n  curl -d hello "+base+"/news\n", nil)
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
