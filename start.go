package sse

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxLast = 1_000_000_000
	day     = 24 * time.Hour
)

// ParseStart reads where to begin, as people write it and as a query has it
// under "since":
//
//	earliest               the first event that is kept
//	latest                 only what is new
//	-10                    the last 10 events; at most a billion
//	10m, 1h30m, 7d, 1d12h  so long ago: a duration, with days of 24 hours
//	2006-01-02T15:04:05Z   a time of RFC 3339, perhaps with a fraction or a zone
//
// In a query "+" stands for a space, so that "+02:00" needs escaping; a space in
// its place is understood. A time outside of the years that a log can tell, 1970
// to 2262, is the nearest one within.
//
// It is no place for an id: [ParsePosition] reads those of events, and
// [Start.ID] takes those that an application has given.
func ParseStart(text string) (Start, error) {
	switch text {
	case "earliest":
		return Start{Earliest: true}, nil
	case "latest":
		return Start{}, nil
	}
	if number, ok := strings.CutPrefix(text, "-"); ok {
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && 0 < n && n <= maxLast {
			return Start{Last: int(n)}, nil
		}
	} else if t, ok := parseTime(text); ok {
		return Start{Time: t}, nil
	} else if d, ok := parseAgo(text); ok {
		return Start{Time: keepable(time.Now().Add(-d))}, nil
	}
	return Start{}, fmt.Errorf("sse: cannot start at %q: it is none of earliest, latest, "+
		"-N for the last N events (1 to %d), a duration such as 10m or 7d, "+
		"and a time such as 2006-01-02T15:04:05Z", shorten(text), maxLast)
}

// parseTime reads a time of RFC 3339.
func parseTime(text string) (time.Time, bool) {
	if at := len(text) - len("+01:00"); at > 0 && text[at] == ' ' {
		text = text[:at] + "+" + text[at+1:]
	}
	// RFC 3339 5.6: "T" and "Z" may be in lower case.
	t, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	return keepable(t), err == nil
}

// keepable brings a time within those of which the nanoseconds since 1970 are a
// number that is not negative. Others would wrap around in a log that compares
// numbers, and the zero Time would be no Start at all.
func keepable(t time.Time) time.Time {
	first, last := time.Unix(0, 0), time.Unix(0, math.MaxInt64)
	switch {
	case t.Before(first):
		t = first
	case t.After(last):
		t = last
	}
	return t.UTC() // and without the monotonic clock, which no log keeps
}

// parseAgo reads a duration: of Go's, but for the sign, and with whole days
// before it. A lone 0 is refused, though Go takes it: it may as well be meant to
// be a number, or the beginning.
func parseAgo(text string) (time.Duration, bool) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 64)
	if err != nil || n > uint64(math.MaxInt64/day) {
		return 0, false
	}
	whole := time.Duration(n) * day
	if ok && rest == "" {
		return whole, true
	}
	if rest == "0" || strings.ContainsAny(rest, "+-") {
		return 0, false
	}
	d, err := time.ParseDuration(rest)
	return whole + d, err == nil && d <= math.MaxInt64-whole
}

// requestStart finds out where a request wants to begin:
//
//  1. after the id in the header Last-Event-ID, as browsers send it,
//  2. after the id in the query's lastEventId, for those that cannot,
//  3. where the query's since says, for those that come for the first time.
//
// So a browser that comes back with the URL it came with at first does not begin
// again. What is not used is not looked at. Of several headers or parameters of
// the same name the first counts, unless it is an empty id: that is none.
//
// asked is the id, or the text of since. Without any of them the start is zero:
// only what is new. A query that is malformed is an error, not half a query:
// what it leaves out may have been what was missed.
func requestStart(r *http.Request) (start Start, asked string, err error) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return startAfter(id), id, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Start{}, "", fmt.Errorf("sse: malformed query: %w", err)
	}
	if id := query.Get("lastEventId"); id != "" {
		return startAfter(id), id, nil
	}
	if !query.Has("since") {
		return Start{}, "", nil
	}
	asked = query.Get("since")
	start, err = ParseStart(asked)
	return start, asked, err
}

// startAfter is the start after the event with the given id. One that looks like
// a position but is none is left to [EventLog.Locate], which will not know it: a
// subscriber is told of a gap rather than turned away.
func startAfter(id string) Start {
	if p, ok := parsePosition(id); ok {
		return Start{After: p}
	}
	return Start{ID: id}
}
