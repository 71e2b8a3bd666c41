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

// login sets a session cookie. The request contains the secret of an access key in
// the header Authorization, in the field key of a form, or in the member key of a
// JSON object.
func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	if a.Authority.Open() {
		a.limitRestOfBody(w, r)
		return respond(w, r, "no key is needed\n", map[string]any{"name": ""})
	}
	if err := checkMaySetCookie(r); err != nil {
		return err
	}
	secret, err := a.readSecret(w, r)
	if err != nil {
		return err
	}
	cookie, err := a.Authority.Login(secret)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	name, _, _ := strings.Cut(cookie.Value, ".")
	return respond(w, r, "logged in as "+name+"\n", map[string]any{
		"name": name, "expires": cookie.Expires.UTC().Format(time.RFC3339),
	})
}

// checkMaySetCookie refuses a request that only the origin * allows. Otherwise a page
// of any site could change the session of the person who opens the page.
func checkMaySetCookie(r *http.Request) error {
	if !needsAnyOrigin(r) {
		return nil
	}
	return problemf(http.StatusForbidden, "--cors '*' allows no cookies, so that a page of another "+
		"origin can neither log in nor log out; send the header Authorization: Bearer KEY, "+
		"or list the origin of the page with --cors")
}

// readSecret returns the secret in a login request.
func (a *API) readSecret(w http.ResponseWriter, r *http.Request) (string, error) {
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		a.limitRestOfBody(w, r)
		return secret, nil
	}
	if err := checkBodyForm(r); err != nil {
		return "", err
	}
	const limit = 4 << 10
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", problemf(http.StatusRequestEntityTooLarge,
			"a login must have at most %d bytes", limit)
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
			"the body must be a form with the field key, or JSON such as {\"key\":\"…\"}")
	}
	return secret, nil
}

// logout removes the cookie that login sets.
func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	if err := checkMaySetCookie(r); err != nil {
		return err
	}
	http.SetCookie(w, auth.Logout())
	return respond(w, r, "logged out\n", map[string]any{"name": ""})
}

// issueTicket responds with a ticket for one subscription to the topics and patterns
// of the query. Only pages of one origin can use the ticket: the origin in the query
// or, if the query has none, the origin of the page that sent the request. If there
// is no origin, only the hub's own pages and programs can use the ticket.
func (a *API) issueTicket(w http.ResponseWriter, r *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	query, err := parseQuery(r, true, "origin")
	if err != nil {
		return err
	}
	identity, err := a.Authority.Identify(r, nil)
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
	ticket, err := a.Authority.Issue(identity, to.topics, to.patterns, origin)
	if err != nil {
		return err
	}
	return respond(w, r, ticket+"\n", map[string]any{
		"ticket": ticket, "seconds": int(auth.TicketAge.Seconds()),
	})
}
