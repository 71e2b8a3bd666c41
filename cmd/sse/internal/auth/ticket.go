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
	// TicketAge is how soon a ticket must be used.
	TicketAge = 30 * time.Second

	// maxTickets bounds those that were issued within TicketAge.
	maxTickets = 64 << 10
)

// bound is what a ticket is good for. A nil bound is no ticket.
type bound struct {
	topics   []string
	patterns []sse.Pattern
}

func (b *bound) topic(verb Verb, topic string) bool {
	return b == nil || verb == Subscribe && slices.Contains(b.topics, topic)
}

func (b *bound) pattern(verb Verb, pattern sse.Pattern) bool {
	return b == nil || verb == Subscribe && slices.Contains(b.patterns, pattern)
}

type ticket struct {
	who     Who
	origin  string
	expires time.Time
}

// tickets are those that were issued, by their sum.
type tickets struct {
	mu     sync.Mutex // guards the following
	issued map[[32]byte]ticket
	order  [][32]byte // as they were issued, which is as they expire
}

// Issue returns a ticket for one subscription within TicketAge, to these topics and
// patterns or some of them, from a page of an origin such as https://example.com. An
// empty origin is that of the hub itself, and of programs.
func (a *Authority) Issue(
	who *Who, topics []string, patterns []sse.Pattern, origin string,
) (string, error) {
	if who.bound != nil {
		return "", forbidden("a ticket is not good for another ticket")
	}
	if err := who.MayTopics(Subscribe, topics); err != nil {
		return "", err
	}
	if err := who.MayPatterns(Subscribe, patterns); err != nil {
		return "", err
	}
	t := ticket{who: *who, origin: origin, expires: a.now().Add(TicketAge)}
	t.who.bound = &bound{topics, patterns}
	text := random()
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(a.now())
	if len(s.order) >= maxTickets {
		return "", &Error{http.StatusServiceUnavailable,
			"too many tickets were issued in the last seconds"}
	}
	s.issued[sum] = t
	s.order = append(s.order, sum)
	return text, nil
}

// expireLocked forgets tickets that are too old, and those that were used.
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

// redeem uses a ticket up, also if it is shown from the wrong place: whoever has
// it there should not have it.
func (a *Authority) redeem(r *http.Request, text string) (*Who, error) {
	sum := sha256.Sum256([]byte(text))
	s := &a.tickets
	s.mu.Lock()
	t, ok := s.issued[sum]
	delete(s.issued, sum)
	s.mu.Unlock()
	if !ok || !a.now().Before(t.expires) {
		return nil, unauthorized("the ticket is unknown, used or older than %v: "+
			"a new one for each EventSource, and for each time that it is opened", TicketAge)
	}
	if origin := r.Header.Get("Origin"); origin != t.origin && !isOwn(r, origin, t.origin) {
		return nil, forbidden("the ticket is for pages of another origin")
	}
	return &t.who, nil
}

// isOwn reports whether a ticket for an origin is used by a page of the hub's own.
// Browsers send no Origin with what stays on it.
func isOwn(r *http.Request, origin, bound string) bool {
	own := func(o string) bool {
		return o == "" || o == "http://"+r.Host || o == "https://"+r.Host
	}
	return own(origin) && own(bound)
}
