package api

import (
	"net/http"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// deleteByPath handles DELETE of a path such as /news,sport: it removes the stored
// events of these topics.
func (a *API) deleteByPath(w http.ResponseWriter, r *http.Request, to target) error {
	if _, err := parseQuery(r, false); err != nil {
		return err
	}
	return a.deleteTarget(w, r, to)
}

// deleteByQuery handles DELETE /-/events: it removes the stored events of the topics
// in the query.
func (a *API) deleteByQuery(w http.ResponseWriter, r *http.Request) error {
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

func (a *API) deleteTarget(w http.ResponseWriter, r *http.Request, to target) error {
	identity, err := a.Authority.Identify(r, nil)
	if err != nil {
		return err
	}
	if err := to.checkTopicsOnly("deleting", "/-/events"); err != nil {
		return err
	}
	if err := identity.CheckTopics(auth.Delete, to.topics); err != nil {
		return err
	}
	turnOf(r).release()
	for _, topic := range to.topics {
		if err := a.Log.Delete(r.Context(), topic); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
