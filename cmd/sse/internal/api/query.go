package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// The parameters that a query may have. A request that reads may have readParameters,
// and a request that publishes may have publishParameters. targetParameters name the
// target of a request: its topics and patterns.
var (
	readParameters    = []string{"since", "lastEventId", "follow", "limit", "ticket", "cursor"}
	publishParameters = []string{"type", "id", "retry", "eol", "split"}
	targetParameters  = []string{"topic", "pattern"}
)

// parseQuery parses the query of a request. An unknown parameter is an error, and so is
// a parameter that occurs twice. Otherwise the client would not notice a mistake, such
// as ?tpye=x. If withTarget is true, the query may also have topics and patterns, each
// of them several times.
func parseQuery(r *http.Request, withTarget bool, parameters ...string) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "the query is malformed: parameters must be "+
			"name=value, joined by &, and an escape must have two hexadecimal digits")
	}
	if withTarget {
		parameters = append(slices.Clip(parameters), targetParameters...)
	}
	for name, values := range query {
		isTarget := withTarget && slices.Contains(targetParameters, name)
		switch {
		case !slices.Contains(parameters, name):
			return nil, unknownParameter(name, parameters)
		case len(values) > 1 && !isTarget:
			return nil, problemf(http.StatusBadRequest, "the parameter %s must be given only once", name)
		}
	}
	return query, nil
}

func unknownParameter(name string, parameters []string) error {
	if slices.Contains(targetParameters, name) {
		return problemf(http.StatusBadRequest, "the path already names the topics; "+
			"the parameter %s is only for paths such as /-/events", name)
	}
	accepted := "this request accepts no parameters"
	if len(parameters) > 0 {
		accepted = "this request accepts " + strings.Join(parameters, ", ")
	}
	return problemf(http.StatusBadRequest, "the parameter %s is unknown; %s",
		text.Quote(name), accepted)
}
