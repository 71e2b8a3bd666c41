package sse

import "net/netip"

// peer is the address of a subscriber's peer, as small as it can be: there may
// be a million of them.
type peer struct {
	ip   [16]byte
	port uint16
}

// parsePeer reads an address as net/http has it. It returns false for what is not
// an IP address and a port.
func parsePeer(text string) (peer, bool) {
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Addr().Zone() != "" {
		return peer{}, false
	}
	return peer{a.Addr().As16(), a.Port()}, true
}

// String is the address, without the IPv6 form of IPv4.
func (p peer) String() string {
	if p == (peer{}) {
		return ""
	}
	return netip.AddrPortFrom(netip.AddrFrom16(p.ip).Unmap(), p.port).String()
}

// about is what few subscribers have.
type about struct {
	key     string
	remote  string // if it is not an IP address and a port
	expires int64  // when the stream ends, or 0
}

// setAbout notes who the subscriber is.
func (s *subscriber) setAbout(a about) {
	if p, ok := parsePeer(a.remote); ok {
		s.peer, a.remote = p, ""
	}
	if a != (about{}) {
		s.about = &a
	}
}

func (s *subscriber) key() string {
	if s.about == nil {
		return ""
	}
	return s.about.key
}

func (s *subscriber) remote() string {
	if s.about != nil && s.about.remote != "" {
		return s.about.remote
	}
	return s.peer.String()
}

func (s *subscriber) expires() int64 {
	if s.about == nil {
		return 0
	}
	return s.about.expires
}
