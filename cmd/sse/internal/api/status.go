package api

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

// ServerName is the value of the header Server in responses of /-/healthz. With this
// value, sse finds out that another hub uses a port.
const ServerName = "sse"

// The paths for the health checks of load balancers.
const (
	healthPath = "/-/healthz"
	readyPath  = "/-/readyz"
)

// secretFlag is the flag of curl and sse that sends a key. The secret of the key is in
// a variable of the shell.
const secretFlag = `-H "Authorization: Bearer $SECRET"`

// Examples returns two commands for a hub whose address or URL is base. The first
// command subscribes to a topic, and the second publishes to this topic.
func Examples(base string, needsKey bool) (subscribe, publish string) {
	flag := ""
	if needsKey {
		flag = secretFlag + " "
	}
	return "curl -N " + flag + base + "/news", "curl -d hello " + flag + base + "/news"
}

// ErrSlowDisk is the error in [WriteResult] if a test of the disk takes too long.
var ErrSlowDisk = errors.New("sse: the disk has not stored a small file in time")

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

// reportHealth responds with status 200 as long as the process runs.
func (a *API) reportHealth(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Server", ServerName)
	return respond(w, r, "ok\n", nil)
}

// reportReadiness responds with status 200 if a load balancer should send clients to
// this hub. Otherwise the status is 503: the hub shuts down, or cannot use its log.
func (a *API) reportReadiness(w http.ResponseWriter, r *http.Request) error {
	if a.Closing.Err() != nil {
		return problemf(http.StatusServiceUnavailable, "the hub is shutting down")
	}
	if _, err := a.Broker.Position(r.Context()); err != nil {
		return problemf(http.StatusServiceUnavailable, "the event log is not available")
	}
	fields := map[string]any{"status": http.StatusOK}
	if a.CheckLog == nil {
		return respond(w, r, "ready\n", fields)
	}
	health := a.CheckLog(r.Context())
	last := health.Commit
	if health.Test.Time.After(last.Time) {
		last = health.Test
	}
	details := describeWrite("last commit", health.Commit) + describeWrite("last test", health.Test)
	addWrite(fields, "commit", health.Commit)
	addWrite(fields, "test", health.Test)
	if last.Err == nil {
		return respond(w, r, "ready"+details+"\n", fields)
	}
	message := "events cannot be stored" + details
	if !wantsJSON(r) {
		return problemf(http.StatusServiceUnavailable, "%s", message)
	}
	fields["error"], fields["status"] = message, http.StatusServiceUnavailable
	writeJSON(w, http.StatusServiceUnavailable, fields)
	return nil
}

// describeWrite returns the result of a write as a part of a line, for example
// "; last commit: succeeded 2.3s ago". It returns "" if there was no write.
func describeWrite(name string, result WriteResult) string {
	if result.Time.IsZero() {
		return ""
	}
	outcome := "succeeded"
	if result.Err != nil {
		outcome = "failed (" + diskProblem(result.Err) + ")"
	}
	return fmt.Sprintf("; %s: %s %v ago", name, outcome, age(result))
}

// addWrite adds the result of a write to the fields of a JSON object, if there was a
// write.
func addWrite(fields map[string]any, name string, result WriteResult) {
	if !result.Time.IsZero() {
		fields[name] = map[string]any{"ok": result.Err == nil, "seconds": age(result).Seconds()}
	}
}

func age(result WriteResult) time.Duration {
	return time.Since(result.Time).Round(100 * time.Millisecond)
}

// diskProblem returns a text for an error of the disk. The client does not receive the
// error itself, because it describes this machine.
func diskProblem(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full"
	case errors.Is(err, ErrSlowDisk):
		return "the disk is too slow"
	}
	return "the hub's log has the reason"
}
