package auth

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

// Identity is the client of a request and its permissions.
type Identity struct {
	// Name is the name of the client's key. If empty, the hub needs no key.
	Name string

	// Expires is when the client's session cookie expires. If the client has a ticket
	// that it got with a cookie, it is when this cookie expires. If zero, the identity
	// does not expire.
	Expires time.Time

	grants Grants // the actions that the key allows
	scope  *scope // a further limit if the client has a ticket; otherwise nil
}

// anonymous is the identity of every client if the hub needs no key.
var anonymous = &Identity{grants: allGrants()}

const needsKey = "a key is needed: send the header Authorization: Bearer KEY, " +
	"log in at /-/login, or use a ticket from /-/tickets"

// Identify returns the identity of the client that sent a request. It looks for the
// header Authorization, then for a ticket in the query, then for a session cookie, and
// checks only the first of these that the request has. For example, a request with a
// wrong key in the header is refused even if it also has a valid cookie. The query may
// be nil. If Identify checks a ticket, the ticket cannot be used again.
func (a *Authority) Identify(r *http.Request, query url.Values) (*Identity, error) {
	if a.Open() {
		return anonymous, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return a.checkBearer(header)
	}
	if query.Has("ticket") {
		return a.redeem(r, query.Get("ticket"))
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		return a.checkSession(cookie.Value)
	}
	return nil, unauthorized(needsKey)
}

// checkBearer returns the identity of a client that sends this header Authorization,
// for example "Bearer 0123456789abcdef".
//
// RFC 9110 11.1: the case of the scheme, such as Bearer, does not matter.
func (a *Authority) checkBearer(header string) (*Identity, error) {
	scheme, secret, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, unauthorized("the header Authorization must be Bearer KEY")
	}
	key := a.key(strings.TrimSpace(secret))
	if key == nil {
		return nil, unauthorized("the key in the header Authorization is unknown")
	}
	return key.identity(time.Time{}), nil
}

// CheckTopics returns an error unless the client may do verb for all of the topics. The
// error names the first topic for which it is not allowed.
func (i *Identity) CheckTopics(verb Verb, topics []string) error {
	for _, topic := range topics {
		if !i.grants.allowsTopic(verb, topic) || !i.scope.allowsTopic(verb, topic) {
			return i.refuse(verb, topic)
		}
	}
	return nil
}

// CheckPatterns returns an error unless the client may do verb for all topics that the
// patterns select. A ticket allows only the patterns for which it was issued.
func (i *Identity) CheckPatterns(verb Verb, patterns []sse.Pattern) error {
	for _, pattern := range patterns {
		if !i.grants.allowsPattern(verb, pattern) || !i.scope.allowsPattern(verb, pattern) {
			return i.refuse(verb, pattern.String())
		}
	}
	return nil
}

func (i *Identity) refuse(verb Verb, name string) error {
	subject := "key " + i.Name
	if i.scope != nil {
		subject = "the ticket"
	}
	action := map[Verb]string{
		Publish: "publish to", Subscribe: "subscribe to", Delete: "delete the stored events of",
	}[verb]
	return forbidden("%s may not %s %q", subject, action, name)
}
