package sse

import "net/netip"

// peer is the network address of a subscriber's peer, in a compact form because
// there may be a million subscribers.
type peer struct {
	ip   [16]byte
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

// String returns the address, or "" for the zero peer. An IPv4 address has its
// IPv4 form.
func (p peer) String() string {
	if p == (peer{}) {
		return ""
	}
	return netip.AddrPortFrom(netip.AddrFrom16(p.ip).Unmap(), p.port).String()
}

// subscriberInfo holds rarely set attributes of a subscriber. It is allocated only
// if one of them is set.
type subscriberInfo struct {
	key         string
	remote      string // the peer, if it is not an IP address and a port
	expires     int64  // when the stream ends, in nanoseconds since 1970, or 0; never changes
	expiryIndex int    // index in expiries.queue, or -1
}
