package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The parameters of a query, by what the request does.
var (
	readParameters    = []string{"since", "lastEventId", "follow", "limit", "ticket"}
	publishParameters = []string{"type", "id", "retry", "eol"}
	targetParameters  = []string{"topic", "pattern"}
)

// parseQuery reads the query. A parameter that is misspelled, or given twice, is an
// error: what it should have said would be lost without a word. Those that name
// topics are read if the path does not.
func parseQuery(r *http.Request, named bool, parameters ...string) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "the query is malformed: "+
			"parameters are name=value, joined by &, and an escape has two hexadecimal digits")
	}
	if named {
		parameters = append(slices.Clip(parameters), targetParameters...)
	}
	for name, values := range query {
		isTarget := named && slices.Contains(targetParameters, name)
		switch {
		case !slices.Contains(parameters, name):
			return nil, unknownParameter(name, parameters)
		case len(values) > 1 && !isTarget:
			return nil, problemf(http.StatusBadRequest, "the parameter %s is there twice", name)
		}
	}
	return query, nil
}

func unknownParameter(name string, parameters []string) error {
	if slices.Contains(targetParameters, name) {
		return problemf(http.StatusBadRequest,
			"the path names the topics; the parameter %s is for paths such as /-/events", name)
	}
	known := "there are none here"
	if len(parameters) > 0 {
		known = "there are " + strings.Join(parameters, ", ")
	}
	return problemf(http.StatusBadRequest, "the parameter %s is unknown: %s", shorten(name), known)
}
