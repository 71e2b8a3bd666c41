package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// routes are the paths that are the hub's own.
func (a *API) routes() map[string]route {
	return map[string]route{
		"/-/events":  {"GET": a.events, "HEAD": a.events, "DELETE": a.deleteOwn},
		"/-/publish": {"POST": a.publishOwn, "PUT": a.putOwn},
		"/-/batch":   {"POST": a.postBatch, "PUT": a.putBatch},
		"/-/login":   {"POST": a.login},
		"/-/logout":  {"POST": a.logout},
		"/-/tickets": {"POST": a.issue},
		"/-/healthz": {"GET": a.health, "HEAD": a.health},
		"/-/readyz":  {"GET": a.ready, "HEAD": a.ready},
	}
}

// ServerName is how a hub is recognised, in the header Server of /-/healthz.
const ServerName = "sse"

// health says that the process answers.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Server", ServerName)
	return answer(w, r, "ok\n", nil)
}

// ready says whether it is a good place to send clients to.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	if a.Closing.Err() != nil {
		return problemf(http.StatusServiceUnavailable, "the hub is shutting down")
	}
	if _, err := a.Broker.Position(r.Context()); err != nil {
		return problemf(http.StatusServiceUnavailable, "the log cannot be reached")
	}
	return answer(w, r, "ready\n", nil)
}

// deleteOwn is DELETE of /-/events.
func (a *API) deleteOwn(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r, true)
	if err != nil {
		return err
	}
	to, err := parseTarget(query)
	if err != nil {
		return err
	}
	return a.deleteTarget(w, r, to)
}

// login gives a browser the cookie for a key: of the form field key, of JSON, or of
// the header Authorization.
func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	if a.Authority.Open() {
		a.leaveBody(w, r)
		return answer(w, r, "no key is needed\n", map[string]any{"name": ""})
	}
	secret, err := a.secretOf(w, r)
	if err != nil {
		return err
	}
	cookie, err := a.Authority.Login(secret)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	name, _, _ := strings.Cut(cookie.Value, ".")
	return answer(w, r, "logged in as "+name+"\n", map[string]any{
		"name": name, "expires": cookie.Expires.UTC().Format(time.RFC3339),
	})
}

func (a *API) secretOf(w http.ResponseWriter, r *http.Request) (string, error) {
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		a.leaveBody(w, r)
		return secret, nil
	}
	if err := checkBodyForm(r); err != nil {
		return "", err
	}
	const limit = 4 << 10
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return "", problemf(http.StatusRequestEntityTooLarge, "a login has at most %d bytes", limit)
	case err != nil:
		return "", bodyError(w, err)
	}
	var secret string
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		var fields struct{ Key string }
		err = json.Unmarshal(body, &fields)
		secret = fields.Key
	} else {
		var fields url.Values
		fields, err = url.ParseQuery(string(body))
		secret = fields.Get("key")
	}
	if err != nil || secret == "" {
		return "", problemf(http.StatusBadRequest,
			"a login is a form with the field key, or JSON such as {\"key\":\"…\"}")
	}
	return secret, nil
}

func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	http.SetCookie(w, auth.Logout())
	return answer(w, r, "logged out\n", map[string]any{"name": ""})
}

// issue gives a ticket for one subscription: to the topics and patterns of the query,
// for a page of the origin there or of the one that asks.
func (a *API) issue(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	query, err := parseQuery(r, true, "origin")
	if err != nil {
		return err
	}
	who, err := a.Authority.Identify(r, nil)
	if err != nil {
		return err
	}
	to, err := parseTarget(query)
	if err != nil {
		return err
	}
	origin := r.Header.Get("Origin")
	if query.Has("origin") {
		origin = query.Get("origin")
	}
	ticket, err := a.Authority.Issue(who, to.topics, to.patterns, origin)
	if err != nil {
		return err
	}
	return answer(w, r, ticket+"\n", map[string]any{
		"ticket": ticket, "seconds": int(auth.TicketAge.Seconds()),
	})
}
