package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sse-go/sse"
)

// answers checks that everything was acknowledged.
type answers struct {
	statuses []int
	events   int // in each request
	// number reads that of the last event of a request from the answer; nil: the
	// server does not tell.
	number func(body []byte) (uint64, error)

	before       uint64 // the number of the last event of all before
	acknowledged uint64
	last         uint64
}

// check returns the number of the request's last event.
func (a *answers) check(status int, body []byte) (last uint64, err error) {
	if !slices.Contains(a.statuses, status) {
		return 0, fmt.Errorf("status %d: %s", status, bytes.TrimSpace(body))
	}
	a.acknowledged += uint64(a.events)
	if a.number == nil {
		return 0, nil
	}
	if last, err = a.number(body); err != nil {
		return 0, fmt.Errorf("the answer %q: %w", body, err)
	}
	a.last = max(a.last, last)
	return last, nil
}

// complete finds out whether as many events have numbers as were acknowledged.
func (a *answers) complete() error {
	if a.number != nil && a.last-a.before != a.acknowledged {
		return fmt.Errorf("%d events are acknowledged, and their numbers are %d to %d",
			a.acknowledged, a.before+1, a.last)
	}
	return nil
}

// decimal is a number on a line.
func decimal(body []byte) (uint64, error) {
	return strconv.ParseUint(strings.TrimSuffix(string(body), "\n"), 10, 64)
}

// position is the hub's answer to one event.
func position(body []byte) (uint64, error) {
	at, err := sse.ParsePosition(strings.TrimSuffix(string(body), "\n"))
	return at.Seq, err
}

// kept is the hub's answer to so many events.
func kept(events int) func(body []byte) (uint64, error) {
	prefix := fmt.Appendf(nil, "kept %d, last id ", events)
	return func(body []byte) (uint64, error) {
		id, ok := bytes.CutPrefix(body, prefix)
		if !ok {
			return 0, errors.New("not all are kept")
		}
		return position(id)
	}
}
