package sse

import (
	"fmt"
	"net"
)

// streamLimits counts the streams of a broker, including streams that have not
// begun yet, and keeps the counts within the broker's limits. It has no lock of
// its own: state.mu guards it.
type streamLimits struct {
	maxTotal     int // Broker.MaxSubscribers; like the next two, no limit unless positive
	maxPerRemote int
	maxPerKey    int

	total   int
	remotes map[string]int // streams by IP address, if maxPerRemote is a limit
	keys    map[string]int // streams by Selection.Key, if maxPerKey is a limit
}

// acquire counts a stream from an IP address. It returns an error, and counts
// nothing, if a limit is reached. Even a request that is refused calls acquire, so
// acquire must be cheap.
func (l *streamLimits) acquire(remote string) error {
	if l.maxTotal > 0 && l.total >= l.maxTotal {
		return limitReached("subscribers", l.maxTotal)
	}
	if l.maxPerRemote > 0 {
		if l.remotes[remote] >= l.maxPerRemote {
			return limitReached("subscribers from "+remote, l.maxPerRemote)
		}
		increment(&l.remotes, remote)
	}
	l.total++
	return nil
}

// acquireKey counts a stream with a key. It returns an error, and counts nothing,
// if the limit is reached. Streams with an empty key are not counted.
func (l *streamLimits) acquireKey(key string) error {
	switch {
	case l.maxPerKey <= 0 || key == "":
		return nil
	case l.keys[key] >= l.maxPerKey:
		return limitReached("subscribers with this key", l.maxPerKey)
	}
	increment(&l.keys, key)
	return nil
}

// release undoes acquire and, unless key is empty, acquireKey.
func (l *streamLimits) release(remote, key string) {
	l.total--
	decrement(l.remotes, remote)
	decrement(l.keys, key)
}

func increment(m *map[string]int, key string) {
	if *m == nil {
		*m = make(map[string]int)
	}
	(*m)[key]++
}

// decrement undoes increment. It does nothing if the key is not counted.
func decrement(m map[string]int, key string) {
	if n := m[key]; n > 1 {
		m[key] = n - 1
	} else {
		delete(m, key)
	}
}

// hostOf returns the host of a network address. For two texts of the same IP
// address, such as 192.0.2.1 and ::ffff:192.0.2.1, it returns the same host.
func hostOf(address string) string {
	if p, ok := parsePeer(address); ok {
		address = p.String()
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// limitReached returns the error for a request above a limit. counted is the noun
// for the error text, in the plural.
func limitReached(counted string, limit int) error {
	return unavailable(fmt.Errorf("sse: there are %d %s already, which is the limit", limit, counted))
}
