package auth

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

const (
	// TicketAge is how long a ticket is valid.
	TicketAge = 30 * time.Second

	// MaxTickets limits how many tickets are issued within TicketAge. Tickets that
	// are used within this time may allow more: see issuedTicket.
	MaxTickets = 10_000

	// MaxTicketBytes limits how many bytes the topics, patterns and origins of these
	// tickets have together. A single ticket may have more.
	MaxTicketBytes = 1 << 20
)

// scope is the topics and patterns for which a ticket is valid. A nil scope allows
// everything: it belongs to an identity without a ticket.
type scope struct {
	topics   []string
	patterns []sse.Pattern
}

func (s *scope) allowsTopic(verb Verb, topic string) bool {
	return s == nil || verb == Subscribe && slices.Contains(s.topics, topic)
}

func (s *scope) allowsPattern(verb Verb, pattern sse.Pattern) bool {
	return s == nil || verb == Subscribe && slices.Contains(s.patterns, pattern)
}

type ticket struct {
	identity Identity // of the client to which the ticket was issued, with a scope
	origin   string   // of the pages that can use the ticket; may be empty
	expires  time.Time
}

// issuedTicket is a ticket that counts for MaxTickets and MaxTicketBytes. A ticket
// that expires no longer counts. A used ticket counts as long as an older ticket is
// valid and not used.
type issuedTicket struct {
	sum     [32]byte
	expires time.Time
	bytes   int // of the topics, the patterns and the origin
}

// tickets holds the tickets of an authority.
type tickets struct {
	mu     sync.Mutex          // guards the following
	issued map[[32]byte]ticket // tickets that are not used, by the SHA-256 of their text
	order  []issuedTicket      // in the order of issue, which is the order of expiry
	bytes  int                 // the sum of the bytes of order
	timer  *time.Timer         // removes expired tickets; nil before the first ticket
}

// Issue returns a ticket for one subscription within TicketAge. The subscription may
// have some or all of these topics and patterns. It must come from a page of origin,
// for example https://example.com. If origin is empty, the subscription must come from
// a page of the hub itself, or from a program. Issue fails if identity comes from a
// ticket, if it may not subscribe to a topic or pattern, or if there are too many
// tickets.
func (a *Authority) Issue(
	identity *Identity, topics []string, patterns []sse.Pattern, origin string,
) (string, error) {
	if identity.scope != nil {
		return "", forbidden("a ticket cannot be used to get another ticket")
	}
	if err := identity.CheckTopics(Subscribe, topics); err != nil {
		return "", err
	}
	if err := identity.CheckPatterns(Subscribe, patterns); err != nil {
		return "", err
	}
	t := ticket{
		identity: *identity, origin: strings.Clone(origin), expires: a.now().Add(TicketAge),
	}
	var size int
	t.identity.scope, size = cloneScope(topics, patterns)
	size += len(origin)
	text := randomText()
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(a.now())
	if len(s.order) >= MaxTickets || s.bytes+size > MaxTicketBytes && len(s.order) > 0 {
		return "", &Error{http.StatusServiceUnavailable,
			"too many tickets were issued in the last seconds; try again later"}
	}
	s.issued[sum] = t
	s.order = append(s.order, issuedTicket{sum, t.expires, size})
	s.bytes += size
	if len(s.order) == 1 {
		s.startTimer(a)
	}
	return text, nil
}

// cloneScope returns a scope, and the number of bytes of its strings. The strings do
// not share memory with the request.
func cloneScope(topics []string, patterns []sse.Pattern) (*scope, int) {
	s, size := &scope{}, 0
	for _, topic := range topics {
		s.topics = append(s.topics, strings.Clone(topic))
		size += len(topic)
	}
	for _, pattern := range patterns {
		text := strings.Clone(pattern.String())
		clone, err := sse.ParsePattern(text)
		if err != nil {
			clone = pattern // impossible: the text of a pattern is valid
		}
		s.patterns = append(s.patterns, clone)
		size += len(text)
	}
	return s, size
}

// startTimer starts the timer that removes expired tickets even if no further ticket
// is issued. The caller holds mu.
func (s *tickets) startTimer(a *Authority) {
	if s.timer != nil {
		s.timer.Reset(TicketAge)
		return
	}
	s.timer = time.AfterFunc(TicketAge, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.expireLocked(a.now())
		if len(s.order) > 0 {
			s.timer.Reset(TicketAge)
		}
	})
}

// expireLocked removes tickets that have expired or were used, from the oldest on. It
// stops at the first ticket that is valid and not used.
func (s *tickets) expireLocked(now time.Time) {
	for len(s.order) > 0 {
		oldest := s.order[0]
		if _, ok := s.issued[oldest.sum]; ok && now.Before(oldest.expires) {
			return
		}
		delete(s.issued, oldest.sum)
		s.bytes -= oldest.bytes
		s.order[0] = issuedTicket{}
		s.order = s.order[1:]
	}
	s.order = nil
}

// redeem returns the identity of a ticket, and removes the ticket, so that it cannot be
// used again. It also removes the ticket if it refuses the request because the request
// comes from another origin: a page of that origin may have stolen the ticket.
func (a *Authority) redeem(r *http.Request, text string) (*Identity, error) {
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	t, ok := s.issued[sum]
	delete(s.issued, sum)
	s.mu.Unlock()
	if !ok || !a.now().Before(t.expires) {
		return nil, unauthorized("the ticket is unknown, used, or older than %v; "+
			"get a new ticket each time that an EventSource is opened", TicketAge)
	}
	if origin := r.Header.Get("Origin"); origin != t.origin && !areOwn(r, origin, t.origin) {
		return nil, forbidden("the ticket was issued for pages of another origin")
	}
	return &t.identity, nil
}

// areOwn reports whether each origin is the hub's own origin or empty. A browser sends
// no Origin if a page reads from its own origin.
func areOwn(r *http.Request, origins ...string) bool {
	return !slices.ContainsFunc(origins, func(origin string) bool {
		return origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host
	})
}
