package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sse-go/sse"
)

// answers checks the responses to publish requests.
type answers struct {
	statuses []int // the accepted status codes
	events   int   // number of events in each request
	// number parses a response, and returns the sequence number of the request's last
	// event. If it is nil, the responses contain no number.
	number func(body []byte) (uint64, error)

	before       uint64 // sequence number of the last event before the first request
	acknowledged uint64 // how many events were acknowledged
	last         uint64 // sequence number of the last acknowledged event
}

// check checks a response, and returns the sequence number of the request's last
// event, or 0 if the responses contain no number.
func (a *answers) check(status int, body []byte) (last uint64, err error) {
	if !slices.Contains(a.statuses, status) {
		return 0, fmt.Errorf("status %d: %s", status, bytes.TrimSpace(body))
	}
	a.acknowledged += uint64(a.events)
	if a.number == nil {
		return 0, nil
	}
	if last, err = a.number(body); err != nil {
		return 0, fmt.Errorf("response %q: %w", body, err)
	}
	a.last = max(a.last, last)
	return last, nil
}

// complete returns an error unless the sequence numbers have grown by exactly the
// number of acknowledged events.
func (a *answers) complete() error {
	if a.number != nil && a.last-a.before != a.acknowledged {
		return fmt.Errorf("%d events were acknowledged, but their numbers are %d to %d",
			a.acknowledged, a.before+1, a.last)
	}
	return nil
}

// decimal parses a response that consists of a number and a line end.
func decimal(body []byte) (uint64, error) {
	return strconv.ParseUint(strings.TrimSuffix(string(body), "\n"), 10, 64)
}

// position parses the hub's response to one event.
func position(body []byte) (uint64, error) {
	at, err := sse.ParsePosition(strings.TrimSuffix(string(body), "\n"))
	return at.Seq, err
}

// lastOf returns a parser of the hub's response to a request with so many events.
func lastOf(events int) func(body []byte) (uint64, error) {
	count := fmt.Appendf(nil, " %d, last id ", events)
	return func(body []byte) (uint64, error) {
		_, id, ok := bytes.Cut(body, count)
		if !ok {
			return 0, fmt.Errorf("want it to contain %q", count)
		}
		return position(id)
	}
}
