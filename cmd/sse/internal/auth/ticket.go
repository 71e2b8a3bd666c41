package auth

import (
	"container/list"
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

	// MaxTickets limits how many tickets are valid at a time. A ticket is no longer
	// valid when it has been used, or is older than TicketAge.
	MaxTickets = 10_000

	// MaxTicketBytes limits how many bytes the topics, patterns and origins of all
	// valid tickets have together. A ticket may have more if it is the only valid
	// ticket.
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
	sum      [32]byte // the SHA-256 of the text of the ticket
	identity Identity // of the client to which the ticket was issued, with a scope
	origin   string   // of the pages that can use the ticket; may be empty
	expires  time.Time
	bytes    int // of the topics, the patterns and the origin
}

// tickets holds the tickets of an authority that are not used. An expired ticket is
// removed before the next ticket is issued, or by the timer.
type tickets struct {
	mu    sync.Mutex                 // guards the following
	order list.List                  // of *ticket; the first was issued, and expires, first
	bySum map[[32]byte]*list.Element // the elements of order, by ticket.sum
	bytes int                        // the sum of the bytes of order
	timer *time.Timer                // removes expired tickets; nil before the first ticket
}

// Issue returns a ticket for one subscription within TicketAge. The subscription may
// have some or all of these topics and patterns. It must come from a page of origin,
// for example https://example.com. If origin is empty, the subscription must come from
// a page of the hub itself, or from a program. Issue fails if identity comes from a
// ticket, if the client may not subscribe to all of the topics and patterns, or if
// MaxTickets or MaxTicketBytes is reached.
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
	text := randomText()
	t := &ticket{
		sum: sha256.Sum256([]byte(text)), identity: *identity,
		origin: strings.Clone(origin), expires: a.now().Add(TicketAge),
	}
	t.identity.scope, t.bytes = cloneScope(topics, patterns)
	t.bytes += len(origin)
	s := &a.tickets
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(a.now())
	count := s.order.Len()
	if count >= MaxTickets || s.bytes+t.bytes > MaxTicketBytes && count > 0 {
		return "", &Error{http.StatusServiceUnavailable,
			"too many tickets were issued and not used in the last seconds; try again later"}
	}
	s.bySum[t.sum] = s.order.PushBack(t)
	s.bytes += t.bytes
	if count == 0 {
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
		if s.order.Len() > 0 {
			s.timer.Reset(TicketAge)
		}
	})
}

// expireLocked removes the tickets that have expired.
func (s *tickets) expireLocked(now time.Time) {
	for oldest := s.order.Front(); oldest != nil; oldest = s.order.Front() {
		t := oldest.Value.(*ticket)
		if now.Before(t.expires) {
			return
		}
		s.removeLocked(t.sum)
	}
}

// removeLocked removes the ticket with this sum and returns it, or nil if there is no
// such ticket.
func (s *tickets) removeLocked(sum [32]byte) *ticket {
	element := s.bySum[sum]
	if element == nil {
		return nil
	}
	t := s.order.Remove(element).(*ticket)
	delete(s.bySum, sum)
	s.bytes -= t.bytes
	return t
}

// redeem returns the identity of a ticket, and removes the ticket, so that it cannot be
// used again. If the request comes from a page of another origin, redeem refuses the
// request. It removes the ticket in this case, too, because the page may have stolen it.
func (a *Authority) redeem(r *http.Request, text string) (*Identity, error) {
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	t := s.removeLocked(sum)
	s.mu.Unlock()
	if t == nil || !a.now().Before(t.expires) {
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
