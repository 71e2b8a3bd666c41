package auth

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

const (
	// TicketAge is how long a ticket is valid.
	TicketAge = 30 * time.Second

	// maxTickets bounds the number of tickets that are issued within TicketAge.
	maxTickets = 64 << 10
)

// scope is the topics and patterns that a ticket is valid for. A nil scope
// belongs to an identity without a ticket and allows everything.
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
	identity Identity
	origin   string
	expires  time.Time
}

// tickets holds the issued tickets, by the SHA-256 of their text.
type tickets struct {
	mu     sync.Mutex // guards the following
	issued map[[32]byte]ticket
	order  [][32]byte // in the order of issue, which is the order of expiry
}

// Issue returns a ticket for one subscription within TicketAge. The
// subscription may have some or all of these topics and patterns, and must come
// from a page of origin, for example https://example.com. If origin is empty,
// it must come from a page of the hub itself, or from a program.
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
	t := ticket{identity: *identity, origin: origin, expires: a.now().Add(TicketAge)}
	t.identity.scope = &scope{topics, patterns}
	text := randomText()
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(a.now())
	if len(s.order) >= maxTickets {
		return "", &Error{http.StatusServiceUnavailable,
			"too many tickets were issued in the last seconds; try again later"}
	}
	s.issued[sum] = t
	s.order = append(s.order, sum)
	return text, nil
}

// expireLocked removes the oldest tickets until the oldest ticket is valid and
// unused.
func (s *tickets) expireLocked(now time.Time) {
	for len(s.order) > 0 {
		t, ok := s.issued[s.order[0]]
		if ok && now.Before(t.expires) {
			return
		}
		delete(s.issued, s.order[0])
		s.order = s.order[1:]
	}
}

// redeem uses up a ticket and returns the identity of the ticket. Even if redeem
// refuses the request, because the request comes from another origin, the ticket
// is used up: another page may have stolen it.
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

// areOwn reports whether each origin is the hub's own origin or empty. Browsers
// send no Origin with requests within one origin.
func areOwn(r *http.Request, origins ...string) bool {
	return !slices.ContainsFunc(origins, func(origin string) bool {
		return origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host
	})
}
