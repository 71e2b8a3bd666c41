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
	maxLast = 1_000_000_000 // the largest N of "-N"
	day     = 24 * time.Hour
)

// ParseStart parses the text form of a [Start], as users write it and as the
// query parameter since contains it:
//
//	earliest               the first event that is retained
//	latest                 only new events
//	-10                    the last 10 events; the number is at most a billion
//	10m, 1h30m, 7d, 1d12h  the events of the last 10 minutes, and so on; a day has 24 hours
//	2006-01-02T15:04:05Z   the events since a time in the format of RFC 3339
//
// In a query "+" stands for a space, so write a time zone such as "+02:00" as
// "%2B02:00". ParseStart also accepts a space in place of the plus sign. A log can
// represent the times from 1970 to 2262. Another time becomes the nearest time in that
// range.
//
// ParseStart does not accept IDs. For the ID that a broker gave to an event,
// use [ParsePosition] and Start.After; for an ID of the application, use
// Start.ID.
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
	} else if d, ok := parseAge(text); ok {
		return Start{Time: clampTime(time.Now().Add(-d))}, nil
	}
	return Start{}, fmt.Errorf("sse: cannot start at %q: it must be earliest, latest, "+
		"-N for the last N events (1 to %d), a duration such as 10m or 7d, "+
		"or an RFC 3339 time such as 2006-01-02T15:04:05Z", shorten(text), maxLast)
}

// parseTime parses a time in the format of RFC 3339.
func parseTime(text string) (time.Time, bool) {
	if at := len(text) - len("+01:00"); at > 0 && text[at] == ' ' {
		text = text[:at] + "+" + text[at+1:]
	}
	// RFC 3339 5.6: "T" and "Z" may be in lower case.
	t, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	return clampTime(t), err == nil
}

// clampTime returns the time nearest to t whose nanoseconds since 1970 are a
// non-negative int64. Other times would overflow in a log that compares nanoseconds. In
// addition, clampTime never returns the zero Time, because a zero Start.Time means that
// no time is set.
func clampTime(t time.Time) time.Time {
	first, last := time.Unix(0, 0), time.Unix(0, math.MaxInt64)
	switch {
	case t.Before(first):
		t = first
	case t.After(last):
		t = last
	}
	return t.UTC() // also drops the monotonic clock, which no log stores
}

// parseAge parses a duration such as "7d", "12h" or "1d12h": whole days, then a duration
// of Go without a sign. Either part may be missing. A single "0" is rejected although Go
// accepts it, because the user may have meant a number of events, or the earliest event.
func parseAge(text string) (time.Duration, bool) {
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

// requestStart returns the start that a request asks for. It uses the first of
// these that is present:
//
//  1. the header Last-Event-ID: after the event with this ID. Browsers send it.
//  2. the query parameter lastEventId: the same, for clients that cannot set a
//     header.
//  3. the query parameter since, for clients that connect for the first time.
//
// A browser that reconnects repeats the parameter since in its URL, but it also sends
// Last-Event-ID. Because of this order, the stream continues after the last event. An
// empty ID counts as absent. If a header or parameter occurs several times, the first
// value counts. If the header is present, requestStart does not parse the query, and
// ignores errors in it.
//
// requested is the ID, or the text of since. If none of the three is present, the start
// is zero, which means only new events. A malformed query is an error, because the
// malformed part may say which events the client missed.
func requestStart(r *http.Request) (start Start, requested string, err error) {
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
	requested = query.Get("since")
	start, err = ParseStart(requested)
	return start, requested, err
}

// startAfter returns the start after the event with the given ID. A malformed
// position counts as an ID of the application. No event has that ID, so the
// subscriber receives a gap instead of an error.
func startAfter(id string) Start {
	if p, ok := parsePosition(id); ok {
		return Start{After: p}
	}
	return Start{ID: id}
}

// Start is the place among the published events where a subscriber begins. At most one
// field may be set. The zero Start is the end: the subscriber receives only events that
// are published from then on.
type Start struct {
	// After, if not zero, is a position: the subscriber begins with the first
	// selected event after this position. So the subscriber misses no event and
	// receives none twice. The position comes, for example, from
	// [Broker.Position], or from [ParsePosition] of an event's ID.
	After Position

	// ID, if not empty, is the ID that the application itself gave to an event:
	// the subscriber begins after that event. Only stored events that the
	// subscriber has selected are considered. If several of them have the ID, the
	// subscriber begins after the earliest.
	ID string

	// Last, if not zero, is the number of newest selected events that the
	// subscriber begins with. If there are fewer, it receives all of them.
	Last int

	// Time, if not zero, is a time: the subscriber begins with the first selected
	// event that was published at this time or later. If that event is no longer
	// stored, the subscriber receives a [Gap].
	Time time.Time

	// Earliest, if true, means that the subscriber begins with the first selected
	// event that is stored. The subscriber receives no [Gap] for events that were
	// removed before. If an event is removed later, before the subscriber has
	// received it, the subscriber receives a Gap.
	//
	// There is one exception: if event 7 was removed before the start, but events 5
	// and 6 were not, the subscriber receives no Gap when 5 or 6 is removed later.
	// Events are removed in such an order only with [TopicRetention], with
	// [Broker.Forget], or with a Log that removes events of single topics.
	Earliest bool
}
