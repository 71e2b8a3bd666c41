package auth_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// login returns the identity of a client that sends the secret.
func login(t *testing.T, a *auth.Authority) *auth.Identity {
	t.Helper()
	identity, err := a.Identify(request("Authorization", "Bearer "+secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// textOf returns the text of an error, or "" if err is nil.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func patterns(t *testing.T, texts ...string) (list []sse.Pattern) {
	t.Helper()
	for _, text := range texts {
		list = append(list, pattern(t, text))
	}
	return list
}

// CheckTopics checks each topic of a list. The error names the first topic that is not
// allowed.
func TestListsOfTopics(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" publish a b subscribe c delete d")
	identity := login(t, a)
	if identity.Name != "k" || !identity.Expires.IsZero() {
		t.Errorf("the identity is %+v, want the name k and no expiry", identity)
	}
	for _, test := range []struct {
		verb   auth.Verb
		topics []string
		want   string
	}{
		{auth.Publish, nil, ""},
		{auth.Publish, []string{"a"}, ""},
		{auth.Publish, []string{"a", "b"}, ""},
		{auth.Publish, []string{"b", "a", "b"}, ""},
		{auth.Publish, []string{"x"}, `sse: key k may not publish to "x"`},
		{auth.Publish, []string{"a", "x"}, `sse: key k may not publish to "x"`},
		{auth.Publish, []string{"a", "b", "x"}, `sse: key k may not publish to "x"`},
		{auth.Publish, []string{"x", "a", "b"}, `sse: key k may not publish to "x"`},
		{auth.Publish, []string{"a", "y", "x"}, `sse: key k may not publish to "y"`},
		{auth.Publish, []string{"a", "c"}, `sse: key k may not publish to "c"`},
		{auth.Subscribe, []string{"c", "a"}, `sse: key k may not subscribe to "a"`},
		{auth.Delete, []string{"d", "a"}, `sse: key k may not delete the stored events of "a"`},
	} {
		err := identity.CheckTopics(test.verb, test.topics)
		if got := textOf(err); got != test.want {
			t.Errorf("%s %q: %q, want %q", test.verb, test.topics, got, test.want)
		}
		if err != nil && statusOf(err) != 403 {
			t.Errorf("%s %q: status %d, want 403", test.verb, test.topics, statusOf(err))
		}
	}
}

// A pattern is allowed if a single grant selects all topics that the pattern selects.
func TestPatternsAgainstGrants(t *testing.T) {
	for _, test := range []struct {
		grants  string
		pattern string
		want    int
	}{
		{"a/*", "a/*", 200},
		{"a/*", "a/x", 200},
		{"a/*", "a", 403},
		{"a/*", "*", 403},
		{"a/*", "**", 403},
		{"a/*", "*/*", 403},
		{"a/*", "a/**", 403},
		{"a/*", "a/x/y", 403},
		{"a/*", "a/*/*", 403},
		{"a/*", "a/*/**", 403},
		{"a/*", "b/x", 403},
		{"*", "a", 200},
		{"*", "*", 200},
		{"*", "**", 403},
		{"*", "a/b", 403},
		{"*/b", "a/b", 200},
		{"*/b", "*/b", 200},
		{"*/b", "a/*", 403},
		{"*/b", "a", 403},
		{"a/**", "a/**", 200},
		{"a/**", "a/*/b/**", 200},
		{"a/**", "a/x", 200},
		{"a/**", "a", 403},
		{"a/**", "*/x", 403},
		{"a/**", "**", 403},
		{"a", "a", 200},
		{"a", "*", 403},
		{"a", "a/*", 403},
		{"a/* b/*", "b/*", 200}, // the second grant
		{"a/x a/y", "a/*", 403}, // no single grant
		{"**", "**", 200},
		{"**", "a/*/b", 200},
	} {
		a, _ := newAuthority(t, "k "+secret+" subscribe "+test.grants)
		err := login(t, a).CheckPatterns(auth.Subscribe, patterns(t, test.pattern))
		if got := statusOf(err); got != test.want {
			t.Errorf("%s with the grants %s: %d, want %d", test.pattern, test.grants, got, test.want)
		}
	}
}

func TestListsOfPatterns(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" subscribe a/* b/*")
	for _, test := range []struct {
		verb     auth.Verb
		patterns []string
		want     string
	}{
		{auth.Subscribe, nil, ""},
		{auth.Subscribe, []string{"a/*", "b/*"}, ""},
		{auth.Subscribe, []string{"a/*", "b/*", "**"}, `sse: key k may not subscribe to "**"`},
		{auth.Subscribe, []string{"a/*", "c/*"}, `sse: key k may not subscribe to "c/*"`},
		{auth.Subscribe, []string{"c/*", "a/*"}, `sse: key k may not subscribe to "c/*"`},
		{auth.Publish, []string{"a/*"}, `sse: key k may not publish to "a/*"`},
	} {
		err := login(t, a).CheckPatterns(test.verb, patterns(t, test.patterns...))
		if got := textOf(err); got != test.want {
			t.Errorf("%s %q: %q, want %q", test.verb, test.patterns, got, test.want)
		}
	}
}

// Without keys, every client may do everything.
func TestOpen(t *testing.T) {
	a, _ := newAuthority(t)
	if !a.Open() {
		t.Error("an authority without keys is not open")
	}
	identity, err := a.Identify(request("Authorization", "Bearer x"), nil)
	if err != nil || identity.Name != "" || !identity.Expires.IsZero() {
		t.Fatalf("the identity is %+v, %v, want an empty one", identity, err)
	}
	for _, verb := range []auth.Verb{auth.Publish, auth.Subscribe, auth.Delete} {
		if err := identity.CheckTopics(verb, []string{"a", "b/c"}); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		if err := identity.CheckPatterns(verb, patterns(t, "*", "**")); err != nil {
			t.Errorf("%s of patterns: %v", verb, err)
		}
	}
	if closed, _ := newAuthority(t, "k "+secret+" publish a"); closed.Open() {
		t.Error("an authority with a key is open")
	}
}

// A ticket allows only to subscribe, and only to the topics and patterns for which it
// was issued, even if the key grants more.
func TestScopeOfATicket(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" publish ** subscribe ** delete **")
	for _, test := range []struct {
		verb     auth.Verb
		topics   []string
		patterns []string
		want     string
	}{
		{auth.Subscribe, []string{"a"}, nil, ""},
		{auth.Subscribe, []string{"b", "a"}, nil, ""},
		{auth.Subscribe, nil, []string{"c/*"}, ""},
		{auth.Subscribe, nil, []string{"d/**", "c/*"}, ""},
		{auth.Subscribe, []string{"a"}, []string{"c/*"}, ""},
		{auth.Subscribe, []string{"a", "x"}, nil, `sse: the ticket may not subscribe to "x"`},
		{auth.Subscribe, []string{"c/1"}, nil, `sse: the ticket may not subscribe to "c/1"`},
		{auth.Subscribe, nil, []string{"c/**"}, `sse: the ticket may not subscribe to "c/**"`},
		{auth.Subscribe, nil, []string{"c/1"}, `sse: the ticket may not subscribe to "c/1"`},
		{auth.Subscribe, nil, []string{"c/*", "**"}, `sse: the ticket may not subscribe to "**"`},
		{auth.Publish, []string{"a"}, nil, `sse: the ticket may not publish to "a"`},
		{auth.Publish, nil, []string{"c/*"}, `sse: the ticket may not publish to "c/*"`},
		{auth.Delete, []string{"a"}, nil, `sse: the ticket may not delete the stored events of "a"`},
	} {
		text, err := a.Issue(login(t, a), []string{"a", "b"}, patterns(t, "c/*", "d/**"), "")
		if err != nil {
			t.Fatal(err)
		}
		identity, err := a.Identify(request(), map[string][]string{"ticket": {text}})
		if err != nil || identity.Name != "k" {
			t.Fatalf("the identity is %+v, %v, want the name k", identity, err)
		}
		if err = identity.CheckTopics(test.verb, test.topics); err == nil {
			err = identity.CheckPatterns(test.verb, patterns(t, test.patterns...))
		}
		if got := textOf(err); got != test.want {
			t.Errorf("%s %q %q: %q, want %q", test.verb, test.topics, test.patterns, got, test.want)
		}
	}
}

// Issue fails if the client may not subscribe to one of the topics or patterns.
func TestIssueChecksEachItem(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" subscribe a b/*")
	for _, test := range []struct {
		topics, patterns []string
		want             string
	}{
		{[]string{"a", "b/1"}, []string{"b/*", "b/2"}, ""},
		{[]string{"a", "x"}, nil, `sse: key k may not subscribe to "x"`},
		{[]string{"a"}, []string{"b/*", "b/**"}, `sse: key k may not subscribe to "b/**"`},
	} {
		text, err := a.Issue(login(t, a), test.topics, patterns(t, test.patterns...), "")
		if got := textOf(err); got != test.want || (text == "") != (err != nil) {
			t.Errorf("%q %q: %q, %q, want %q", test.topics, test.patterns, text, got, test.want)
		}
	}
}

// A ticket that was issued without an origin, or for the hub's own origin with http or
// https, is valid for pages of the hub and for programs. Any other ticket is valid
// only for pages of its origin.
func TestOwnOriginOfATicket(t *testing.T) {
	for _, test := range []struct {
		bound, origin string // of Issue, and of the request that uses the ticket
		want          int
	}{
		{"", "", 200},
		{"", "http://hub.test", 200},
		{"", "https://hub.test", 200},
		{"http://hub.test", "", 200},
		{"https://hub.test", "", 200},
		{"http://hub.test", "https://hub.test", 200},
		{"", "http://hub.test:1", 403},
		{"", "http://x.hub.test", 403},
		{"", "null", 403},
		{"https://hub.test:1", "", 403},
		{"https://app.test", "https://hub.test", 403},
		{"https://app.test", "https://app.test", 200},
		{"https://hub.test", "https://app.test", 403},
	} {
		a, _ := newAuthority(t, "k "+secret+" subscribe **")
		text, err := a.Issue(login(t, a), []string{"a"}, nil, test.bound)
		if err != nil {
			t.Fatal(err)
		}
		r := request()
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		_, err = a.Identify(r, map[string][]string{"ticket": {text}})
		if got := statusOf(err); got != test.want {
			t.Errorf("bound to %q, from %q: %d (%v), want %d", test.bound, test.origin, got, err, test.want)
		}
	}
}

// At most MaxTickets tickets are valid at a time. The authority removes used and expired
// tickets from its memory.
func TestLimitOfTickets(t *testing.T) {
	a, clock := newAuthority(t, "k "+secret+" subscribe a")
	identity := login(t, a)
	issue := func(want int) string {
		t.Helper()
		text, err := a.Issue(identity, []string{"a"}, nil, "")
		if statusOf(err) != want {
			t.Fatalf("issuing a ticket: %v, want status %d", err, want)
		}
		return text
	}
	count := func(want int) {
		t.Helper()
		if got := a.CountTickets(); got != want {
			t.Fatalf("%d tickets are stored, want %d", got, want)
		}
	}
	issue(200)
	clock.Time = clock.Add(auth.TicketAge)
	issue(200) // the first ticket has expired
	count(1)
	clock.Time = clock.Add(auth.TicketAge - 1)
	for range auth.MaxTickets - 1 {
		issue(200)
	}
	count(auth.MaxTickets)
	issue(503)
	clock.Time = clock.Add(1)
	issue(200) // one ticket has expired
	issue(503)
	clock.Time = clock.Add(auth.TicketAge - 2)
	issue(503)
	clock.Time = clock.Add(1)
	issue(200) // all tickets have expired, except the newest
	count(2)
	if auth.MaxTickets != 10_000 || auth.TicketAge != 30*time.Second {
		t.Errorf("%d tickets in %v, want 10000 in 30s", auth.MaxTickets, auth.TicketAge)
	}
}

// A used ticket counts no longer, whether an older ticket is valid or not. It does not
// matter whether the request that used the ticket was refused.
func TestUsedTicketsDoNotCount(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" subscribe a")
	identity := login(t, a)
	var texts []string
	fill := func(want int) {
		t.Helper()
		for i := 0; ; i++ {
			text, err := a.Issue(identity, []string{"a"}, nil, "")
			if statusOf(err) != 200 {
				if i != want {
					t.Fatalf("%d tickets were issued, want %d (%v)", i, want, err)
				}
				return
			}
			texts = append(texts, text)
		}
	}
	fill(auth.MaxTickets)
	for _, at := range []int{0, len(texts) / 2, len(texts) - 1} {
		_, err := a.Identify(request(), map[string][]string{"ticket": {texts[at]}})
		if statusOf(err) != 200 {
			t.Fatal(err)
		}
	}
	if got := a.CountTickets(); got != auth.MaxTickets-3 {
		t.Errorf("%d tickets are stored, want %d", got, auth.MaxTickets-3)
	}
	fill(3)
	_, err := a.Identify(request("Origin", "https://x"), map[string][]string{"ticket": {texts[7]}})
	if statusOf(err) != 403 {
		t.Fatalf("using a ticket of another origin: %v, want status 403", err)
	}
	fill(1)
	for _, text := range texts {
		_, _ = a.Identify(request(), map[string][]string{"ticket": {text}})
	}
	if got := a.CountTickets(); got != 0 {
		t.Errorf("%d tickets are stored after all were used, want 0", got)
	}
	fill(auth.MaxTickets)
}

// The topics, patterns and origins of all tickets together have at most MaxTicketBytes,
// except if there is only one ticket. A timer removes expired tickets, even if no
// further ticket is issued.
func TestLimitOfTicketBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := auth.ReadKeys(strings.NewReader("k " + secret + " subscribe **"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := auth.New(keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		identity := login(t, a)
		for _, test := range []struct {
			topics, patterns, origin int // bytes of one ticket
			fit                      int // number of tickets that are issued
		}{
			{1024, 0, 0, 1024},
			{512, 512, 0, 1024},
			{0, 512, 512, 1024},
			{1, 0, 2 << 20, 1}, // the first ticket is always issued
		} {
			topics, patterns := []string{strings.Repeat("t", test.topics)}, []sse.Pattern(nil)
			if test.patterns > 0 {
				patterns = append(patterns, pattern(t, strings.Repeat("p", test.patterns)))
			}
			if test.topics == 0 {
				topics = nil
			}
			origin := strings.Repeat("o", test.origin)
			for i := range test.fit + 1 {
				want := 200
				if i == test.fit {
					want = 503
				}
				if _, err := a.Issue(identity, topics, patterns, origin); statusOf(err) != want {
					t.Fatalf("%+v: ticket %d: %v, want status %d", test, i, err, want)
				}
			}
			time.Sleep(2 * auth.TicketAge)
			synctest.Wait()
			if got := a.CountTickets(); got != 0 {
				t.Errorf("%+v: %d tickets are stored after they expired, want 0", test, got)
			}
		}
	})
}
