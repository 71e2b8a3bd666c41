package sse

import "net/netip"

// peer is the network address of the other end of a subscriber's connection. The form
// is compact, because there may be a million subscribers.
type peer struct {
	ip   [16]byte // an IPv4 address is stored as an IPv4-mapped IPv6 address
	port uint16
}

// parsePeer parses an address in the form of http.Request.RemoteAddr. It returns
// false unless text is an IP address, without an IPv6 zone, and a port.
func parsePeer(text string) (peer, bool) {
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Addr().Zone() != "" {
		return peer{}, false
	}
	return peer{a.Addr().As16(), a.Port()}, true
}

// String returns the address and the port, for example "192.0.2.1:5000" or
// "[2001:db8::1]:5000". It returns "" for the zero peer.
func (p peer) String() string {
	if p == (peer{}) {
		return ""
	}
	return netip.AddrPortFrom(netip.AddrFrom16(p.ip).Unmap(), p.port).String()
}

// subscriberInfo holds rarely set attributes of a subscriber. It is allocated only
// if one of them is set.
type subscriberInfo struct {
	key         string // Selection.Key
	remote      string // the peer's address if parsePeer rejects it, otherwise empty
	expires     int64  // when the stream ends, in nanoseconds since 1970, or 0; never changes
	expiryIndex int    // 1 + the index in expiries.queue, or 0
}
