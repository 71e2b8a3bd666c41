// Command tenants lets every user have the events of their own tenant, and of
// those what their role may see.
//
//	go run ./examples/tenants                                     # console 1
//	curl -d user=ann localhost:3003/login                         # console 2, prints a token
//	curl -N -H 'Authorization: Bearer …' localhost:3003/events    # console 2
//	curl -d user=bob localhost:3003/login                         # console 3, and so on
//	curl -H 'Authorization: Bearer …' -d paid localhost:3003/orders/17
//
// ann and bob are of acme, eve is of globex: what bob says on orders/17 reaches ann,
// and never eve, whatever she asks for. What is refused, with curl -i:
//
//	… localhost:3003/events                             401: no token, or one that has expired
//	… localhost:3003/events?topic=billing               403 for bob, who is a clerk
//	… localhost:3003/events, for the fourth time        503: three streams for each user
//	curl -X POST … localhost:3003/logout                and all streams of the token end
//
// A browser sends the token as the cookie that the login sets: its EventSource
// cannot send other headers.
package main

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-go/sse"
)

// user is somebody of a tenant. The topics of a tenant begin with its name, as in
// "acme/orders/17"; users leave that part out, and so can name no other.
type user struct {
	name   string
	tenant string
	grants []string // patterns of what they may see and say
}

var users = map[string]user{
	"ann": {"ann", "acme", []string{"**"}},
	"bob": {"bob", "acme", []string{"orders/*", "news"}},
	"eve": {"eve", "globex", []string{"**"}},
}

// session is what a token stands for.
type session struct {
	user
	token    string
	patterns []sse.Pattern // the grants, with the tenant
	expires  time.Time
	over     atomic.Bool // the user has logged out
}

// app is the server.
type app struct {
	broker   sse.Broker
	lifetime time.Duration // of a session

	mu       sync.Mutex          // guards the following
	sessions map[string]*session // by token
}

func main() {
	addr := flag.String("addr", "localhost:3003", "where to listen")
	lifetime := flag.Duration("session", 10*time.Minute, "how long a login lasts")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	a := &app{lifetime: *lifetime, sessions: map[string]*session{}}
	a.broker.Select = a.selectTopics
	a.broker.MaxPerKey = 3
	a.broker.OnConnect = func(s sse.Subscriber) { log.Printf("%s connected", s.Key) }
	a.broker.OnDisconnect = func(s sse.Subscriber, reason error) {
		log.Printf("%s left: %v", s.Key, reason)
	}
	log.Printf("server on http://%s", listener.Addr())
	server := &http.Server{Handler: a.handler(), ConnContext: sse.ConnContext}
	log.Fatal(server.Serve(listener))
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /events", &a.broker)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.withSession(a.logout))
	mux.HandleFunc("POST /{topic...}", a.withSession(a.publish))
	// A page of another origin must not use the cookie to log out, or to publish.
	return http.NewCrossOriginProtection().Handler(mux)
}

// selectTopics decides who gets what. It is called for every request for events,
// also when a client comes back: whoever may no longer see something is refused.
func (a *app) selectTopics(r *http.Request) (sse.Selection, error) {
	s, err := a.session(r)
	if err != nil {
		return sse.Selection{}, err
	}
	selection := sse.Selection{
		Key:     s.key(),   // for MaxPerKey, and to be kicked by
		Expires: s.expires, // the stream ends with the token
		// A stream that is just being let in while its user logs out is not yet there
		// to be kicked. It gets nothing.
		Filter: func(*sse.Entry) bool { return !s.over.Load() },
	}
	asked := r.URL.Query()["topic"]
	if len(asked) == 0 {
		selection.Patterns = s.patterns // all that the user may see
	}
	for _, name := range asked {
		topic := s.tenant + "/" + name // so there is no spelling of another tenant's
		if !s.may(topic) {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusForbidden,
				Reason:     fmt.Sprintf("%s may not have %q", s.name, name),
			}
		}
		selection.Topics = append(selection.Topics, topic)
	}
	return selection, nil
}

// session finds out who sends a request. The error is a *sse.ResponseError.
func (a *app) session(r *http.Request) (*session, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("token"); !ok && err == nil {
		token = cookie.Value
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[token]
	if s == nil {
		// For an EventSource this is the end: the page sends its user to the login.
		return nil, &sse.ResponseError{
			StatusCode: http.StatusUnauthorized,
			Header:     http.Header{"Www-Authenticate": {"Bearer"}},
			Reason:     "log in first, or again: the token is missing, unknown or has expired",
		}
	}
	return s, nil
}

// withSession is for requests that do not go to the broker.
func (a *app) withSession(h func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := a.session(r)
		if err != nil {
			http.Error(w, "log in first, or again", http.StatusUnauthorized)
			return
		}
		h(w, r, s)
	}
}

func (s *session) may(topic string) bool {
	return slices.ContainsFunc(s.patterns, func(p sse.Pattern) bool { return p.Match(topic) })
}

func (s *session) key() string { return s.tenant + "/" + s.name }

// login stands for yours: it takes everybody at their word.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	u, ok := users[r.FormValue("user")]
	if !ok {
		http.Error(w, "want user=ann, bob or eve", http.StatusUnauthorized)
		return
	}
	s := &session{user: u, token: rand.Text(), expires: time.Now().Add(a.lifetime)}
	for _, grant := range u.grants {
		pattern, err := sse.ParsePattern(u.tenant + "/" + grant)
		if err != nil {
			log.Fatal(err) // it is in the table above
		}
		s.patterns = append(s.patterns, pattern)
	}
	a.mu.Lock()
	a.sessions[s.token] = s
	a.mu.Unlock()
	time.AfterFunc(a.lifetime, func() { a.end(s) })
	http.SetCookie(w, &http.Cookie{
		Name: "token", Value: s.token, Expires: s.expires,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, // and Secure, with TLS
	})
	fmt.Fprintln(w, s.token)
}

// end makes a token good for nothing.
func (a *app) end(s *session) {
	s.over.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, s.token)
}

// logout ends the session first, and its streams then: those that come back are
// refused. What the user has open with another token comes back, too, and goes on.
func (a *app) logout(_ http.ResponseWriter, _ *http.Request, s *session) {
	a.end(s)
	for _, subscriber := range a.broker.Subscribers() {
		if subscriber.Key == s.key() {
			a.broker.Kick(subscriber.ID)
		}
	}
}

// said is the data of every event. It has the topic as users know it.
type said struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

func (a *app) publish(w http.ResponseWriter, r *http.Request, s *session) {
	name := r.PathValue("topic")
	topic := s.tenant + "/" + name
	if !s.may(topic) {
		http.Error(w, fmt.Sprintf("%s may not have %q", s.name, name), http.StatusForbidden)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	data, _ := json.Marshal(said{name, string(body)})
	at, err := a.broker.Publish(r.Context(), sse.Event{Data: string(data)}, topic)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // it is not a topic
		return
	}
	fmt.Fprintln(w, at)
}
