// Command tenants sends every user the events of the user's own tenant, as far as the
// user's grants permit.
//
//	go run ./examples/tenants                                     # console 1
//	curl -d user=ann localhost:3003/login                         # console 2, prints a token
//	curl -N -H 'Authorization: Bearer …' localhost:3003/events    # console 2
//	curl -d user=bob localhost:3003/login                         # console 3, prints another token
//	curl -H 'Authorization: Bearer …' -d paid localhost:3003/orders/17
//
// ann and bob belong to the tenant acme, eve belongs to globex. ann receives the event
// that bob publishes to orders/17. eve cannot receive it, whatever she requests. These
// requests are refused (curl -i shows the status):
//
//	… localhost:3003/events                             401 without a valid token
//	… localhost:3003/events?topic=billing               403 for bob: no grant includes billing
//	… localhost:3003/events, for the fourth time        503: a user may have three streams
//
// A logout ends the session of the token and all streams of the user. The clients of the
// user's other sessions reconnect:
//
//	curl -X POST … localhost:3003/logout
//
// The login also sets the token as a cookie for browsers: an EventSource sends cookies
// and cannot send other headers.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sse-go/sse"
)

// user is a user of a tenant. The topics of a tenant begin with the name of the tenant,
// for example "acme/orders/17". A request names such a topic without "acme/", and the
// server adds the name of the user's tenant. So no request can name a topic of another
// tenant.
type user struct {
	name   string
	tenant string
	grants []string // patterns of the topics that the user may read and publish to
}

var users = map[string]user{
	"ann": {"ann", "acme", []string{"**"}},
	"bob": {"bob", "acme", []string{"orders/*", "news"}},
	"eve": {"eve", "globex", []string{"**"}},
}

// session is the state of a token. It lasts from the login until the logout, or until the
// time in the field expires if that is earlier.
type session struct {
	user
	token    string
	patterns []sse.Pattern // the grants, with the name of the tenant
	expires  time.Time
	ended    atomic.Bool // true after the end
}

// app holds the state of the server.
type app struct {
	broker   sse.Broker
	lifetime time.Duration // duration of a session

	mu       sync.Mutex          // guards the following
	sessions map[string]*session // by token
}

func main() {
	addr := flag.String("addr", "localhost:3003", "listen on `address`")
	lifetime := flag.Duration("session", 10*time.Minute, "end a session after `duration`")
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
	server := &http.Server{Handler: a.handler()}
	shutdown := a.broker.Attach(server)
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		log.Printf("server on http://%s", listener.Addr())
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-interrupt.Done()
	stop() // a second interrupt ends the process at once
	// The timeout begins now, and not when the program starts.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		log.Print(err)
	}
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

// selectTopics selects the topics of a stream and checks that the user may read them.
// The broker calls it for every request, also when a client reconnects. So a user who
// has lost a permission is refused at the next request.
func (a *app) selectTopics(r *http.Request) (sse.Selection, error) {
	s, err := a.session(r)
	if err != nil {
		return sse.Selection{}, err
	}
	selection := sse.Selection{
		Key:     s.key(),   // for MaxPerKey and for logout
		Expires: s.expires, // the stream ends when the token expires
		// If the user logs out while this stream starts, logout may miss the stream and
		// not end it. The filter then excludes all events.
		Filter: func(*sse.Entry) bool { return !s.ended.Load() },
	}
	asked := r.URL.Query()["topic"]
	if len(asked) == 0 {
		selection.Patterns = s.patterns // everything that the user may read
	}
	for _, name := range asked {
		topic := s.tenant + "/" + name // so no name selects a topic of another tenant
		if !s.may(topic) {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusForbidden,
				Reason:     fmt.Sprintf("%s may not use %q", s.name, name),
			}
		}
		selection.Topics = append(selection.Topics, topic)
	}
	return selection, nil
}

// session returns the session of a request. The error is a *sse.ResponseError.
func (a *app) session(r *http.Request) (*session, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("token"); !ok && err == nil {
		token = cookie.Value
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[token]
	if s == nil {
		// After a 401, an EventSource does not reconnect: a page would now have to send
		// its user to the login.
		return nil, &sse.ResponseError{
			StatusCode: http.StatusUnauthorized,
			Header:     http.Header{"Www-Authenticate": {"Bearer"}},
			Reason:     "log in: the token is missing, unknown or expired",
		}
	}
	return s, nil
}

// withSession returns a handler that calls h with the session of the request, for
// requests that do not go to the broker.
func (a *app) withSession(h func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := a.session(r)
		if err != nil {
			http.Error(w, "log in: the token is missing, unknown or expired", http.StatusUnauthorized)
			return
		}
		h(w, r, s)
	}
}

// may reports whether the user may read and publish to a topic.
func (s *session) may(topic string) bool {
	return slices.ContainsFunc(s.patterns, func(p sse.Pattern) bool { return p.Match(topic) })
}

func (s *session) key() string { return s.tenant + "/" + s.name }

// login starts a session. It checks no password: a real program has its own login.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	u, ok := users[r.FormValue("user")]
	if !ok {
		http.Error(w, "user must be ann, bob or eve", http.StatusUnauthorized)
		return
	}
	s := &session{user: u, token: rand.Text(), expires: time.Now().Add(a.lifetime)}
	for _, grant := range u.grants {
		pattern, err := sse.ParsePattern(u.tenant + "/" + grant)
		if err != nil {
			log.Fatal(err) // an invalid grant in the table of users
		}
		s.patterns = append(s.patterns, pattern)
	}
	a.mu.Lock()
	a.sessions[s.token] = s
	a.mu.Unlock()
	time.AfterFunc(a.lifetime, func() { a.end(s) })
	http.SetCookie(w, &http.Cookie{
		Name: "token", Value: s.token, Expires: s.expires,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, // with TLS, also set Secure
	})
	fmt.Fprintln(w, s.token)
}

// end ends a session: from now on, requests with its token are refused.
func (a *app) end(s *session) {
	s.ended.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, s.token)
}

// logout ends the session, and then all streams of the user. Their clients reconnect.
// A client with the token of the ended session is refused. The clients of the user's
// other sessions continue.
func (a *app) logout(_ http.ResponseWriter, _ *http.Request, s *session) {
	a.end(s)
	a.broker.Kick(func(subscriber sse.Subscriber) bool { return subscriber.Key == s.key() })
}

// post is the data of every event. Topic does not contain the name of the tenant.
type post struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

func (a *app) publish(w http.ResponseWriter, r *http.Request, s *session) {
	name := r.PathValue("topic")
	topic := s.tenant + "/" + name
	if !s.may(topic) {
		http.Error(w, fmt.Sprintf("%s may not use %q", s.name, name), http.StatusForbidden)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	at, err := a.broker.PublishJSON(r.Context(), sse.Event{}, post{name, string(body)}, topic)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // for example, the topic is invalid
		return
	}
	fmt.Fprintln(w, at)
}
