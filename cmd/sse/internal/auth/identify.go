package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// Error is why a request is refused, as a response.
type Error struct {
	Status int // 401 or 403
	Text   string
}

func (e *Error) Error() string { return "sse: " + e.Text }

func unauthorized(format string, args ...any) error {
	return &Error{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &Error{http.StatusForbidden, fmt.Sprintf(format, args...)}
}

// anybody is whom all requests are from where no key is needed.
var anybody = &Who{grants: everything()}

const needsKey = "a key is needed: send the header Authorization: Bearer KEY, " +
	"log in at /-/login, or use a ticket of /-/tickets"

// Identify says whom a request is from. What is shown first counts, in the order
// header, ticket, cookie: a wrong key is not made up for by a right cookie. The
// query may be nil. A ticket is used up by this.
func (a *Authority) Identify(r *http.Request, query url.Values) (*Who, error) {
	if a.Open() {
		return anybody, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return a.bearer(header)
	}
	if query.Has("ticket") {
		return a.redeem(r, query.Get("ticket"))
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		return a.session(cookie.Value)
	}
	return nil, unauthorized(needsKey)
}

// bearer says whose key it is. RFC 6750 2.1: the scheme in any case.
func (a *Authority) bearer(header string) (*Who, error) {
	scheme, secret, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, unauthorized("the header Authorization is not Bearer KEY")
	}
	key := a.key(strings.TrimSpace(secret))
	if key == nil {
		return nil, unauthorized("the key in the header Authorization is unknown")
	}
	return key.who(time.Time{}), nil
}

func (k *Key) who(expires time.Time) *Who {
	return &Who{Name: k.Name, Expires: expires, grants: k.Grants}
}

// MayTopics returns an error if something must not be done with one of the topics.
func (w *Who) MayTopics(verb Verb, topics []string) error {
	for _, topic := range topics {
		if !w.grants.topic(verb, topic) || !w.bound.topic(verb, topic) {
			return w.refuse(verb, topic)
		}
	}
	return nil
}

// MayPatterns is MayTopics for all topics that the patterns select.
func (w *Who) MayPatterns(verb Verb, patterns []sse.Pattern) error {
	for _, pattern := range patterns {
		if !w.grants.pattern(verb, pattern) || !w.bound.pattern(verb, pattern) {
			return w.refuse(verb, pattern.String())
		}
	}
	return nil
}

func (w *Who) refuse(verb Verb, what string) error {
	who := "key " + w.Name
	if w.bound != nil {
		who = "the ticket"
	}
	does := map[Verb]string{
		Publish: "publish to", Subscribe: "subscribe to", Delete: "delete what is kept of",
	}[verb]
	return forbidden("%s may not %s %q", who, does, what)
}
