package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

const secret = "0123456789abcdef"

// clock is the time that an Authority sees. A test sets it.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newAuthority(t *testing.T, lines ...string) (*auth.Authority, *clock) {
	t.Helper()
	keys, err := auth.ReadKeys(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Unix(1_700_000_000, 0)}
	a, err := auth.New(keys, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func request(header ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://hub.test/news", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func pattern(t *testing.T, text string) sse.Pattern {
	t.Helper()
	p, err := sse.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// statusOf returns the status of an auth.Error, or 200 if err is nil.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var refused *auth.Error
	if errors.As(err, &refused) {
		return refused.Status
	}
	return http.StatusInternalServerError
}

func TestParseKeyErrors(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"", "a key must be NAME SECRET"},
		{"name", "a key must be NAME SECRET"},
		{"na.me " + secret + " publish **", "letters, digits"},
		{"name short publish **", "at least 16 characters"},
		{"name 0123456789abcde\u00e9 publish **", "and = only at its end"},
		{"name " + secret, "grants nothing"},
		{"name " + secret + " publish", "grants nothing"},
		{"name " + secret + " **", "the third word of a key must be publish, subscribe or delete"},
		{"name " + secret + " publish a*", `pattern 1 after publish has a "*" within a segment`},
		{"name " + secret + " publish a delete b c/**/d", `pattern 2 after delete has "**" before`},
		{secret + " publish ** subscribe **", "NAME or SECRET is missing"},
		{"name publish ** subscribe **", "NAME or SECRET is missing"},
		{"name subscribe", "NAME or SECRET is missing"},
	} {
		_, err := auth.ParseKey(test.line)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseKey(%q): %v, want %q", test.line, err, test.want)
		}
	}
	_, err := auth.ReadKeys(strings.NewReader("# keys\n\nname " + secret + "\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("ReadKeys: %v, want an error for line 3", err)
	}
	key, _ := auth.ParseKey("a " + secret + " publish **")
	other, _ := auth.ParseKey("b " + secret + " publish **")
	if _, err := auth.New([]auth.Key{key, other}, nil); err == nil {
		t.Error("New accepted two keys with the same secret")
	}
}

// An error contains no word of the key, because any word may be the secret if the
// operator forgets a word or changes the order.
func TestErrorsContainNoSecret(t *testing.T) {
	const other = "s//cr*t+another=="
	words := []string{"nameofthekeyxxxx", secret, other, "publish", "subscribe", "**", "short-secret"}
	lines := []string{""}
	for range 5 { // lines of one word, of two words, and so on
		var longer []string
		for _, line := range lines {
			for _, word := range words {
				longer = append(longer, strings.TrimSpace(line+" "+word))
			}
		}
		for _, line := range longer {
			_, err := auth.ReadKeys(strings.NewReader("\n" + line + "\n"))
			if err == nil {
				continue
			}
			text := err.Error()
			if !strings.HasPrefix(text, "line 2: ") {
				t.Errorf("%q: %s, want the number of the line", line, text)
			}
			for _, word := range words {
				if len(word) > len("subscribe") && strings.Contains(text, word) {
					t.Fatalf("%q: the error contains %s: %s", line, word, text)
				}
			}
		}
		lines = longer
	}
}

func TestGrants(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" publish jobs/* subscribe public/** news/*/live delete tmp")
	identity, err := a.Identify(request("Authorization", "bearer "+secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		verb  auth.Verb
		topic string
		want  int
	}{
		{auth.Publish, "jobs/1", 200}, {auth.Publish, "jobs", 403}, {auth.Publish, "jobs/1/2", 403},
		{auth.Subscribe, "jobs/1", 403}, {auth.Subscribe, "public/a/b", 200},
		{auth.Subscribe, "public", 403}, {auth.Subscribe, "news/x/live", 200},
		{auth.Delete, "tmp", 200}, {auth.Delete, "jobs/1", 403},
	} {
		if got := statusOf(identity.CheckTopics(test.verb, []string{test.topic})); got != test.want {
			t.Errorf("%s %s: %d, want %d", test.verb, test.topic, got, test.want)
		}
	}
	for _, test := range []struct {
		pattern string
		want    int
	}{
		{"public/**", 200}, {"public/*", 200}, {"public/a/*", 200}, {"public/a/**", 200},
		{"**", 403}, {"*", 403}, {"*/**", 403}, {"news/*/live", 200}, {"news/x/live", 200},
		{"news/**", 403}, {"news/*/*", 403}, {"news/*", 403}, {"*/*/live", 403},
	} {
		p := pattern(t, test.pattern)
		if got := statusOf(identity.CheckPatterns(auth.Subscribe, []sse.Pattern{p})); got != test.want {
			t.Errorf("subscribe %s: %d, want %d", test.pattern, got, test.want)
		}
	}
}

func TestIdentify(t *testing.T) {
	a, _ := newAuthority(t, "k "+secret+" subscribe **")
	cookie, err := a.Login(secret)
	if err != nil {
		t.Fatal(err)
	}
	good := cookie.Name + "=" + cookie.Value
	for _, test := range []struct {
		name   string
		header []string
		query  string
		want   int
	}{
		{"no header", nil, "", 401},
		{"key", []string{"Authorization", "Bearer " + secret}, "", 200},
		{"wrong key", []string{"Authorization", "Bearer x" + secret}, "", 401},
		{"empty key", []string{"Authorization", "Bearer"}, "", 401},
		{"basic", []string{"Authorization", "Basic " + secret}, "", 401},
		{"cookie", []string{"Cookie", good}, "", 200},
		{"wrong key and cookie", []string{"Cookie", good, "Authorization", "Bearer x"}, "", 401},
		{"cookie with a wrong code", []string{"Cookie", cookie.Name + "=k.9999999999.AAAA"}, "", 401},
		{"cookie with a later expiry", []string{"Cookie", strings.Replace(good, ".17", ".27", 1)}, "", 401},
		{"malformed cookie", []string{"Cookie", cookie.Name + "=k"}, "", 401},
		{"wrong ticket and cookie", []string{"Cookie", good}, "ticket=x", 401},
	} {
		query, _ := url.ParseQuery(test.query)
		_, err := a.Identify(request(test.header...), query)
		if got := statusOf(err); got != test.want {
			t.Errorf("%s: %d (%v), want %d", test.name, got, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error contains the secret: %v", test.name, err)
		}
	}
}

func TestCookieExpires(t *testing.T) {
	a, clock := newAuthority(t, "k "+secret+" subscribe **")
	if _, err := a.Login("another secret"); statusOf(err) != 401 {
		t.Errorf("Login with another key: %v", err)
	}
	cookie, err := a.Login(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %v is not HttpOnly and SameSite=Strict", cookie)
	}
	r := request("Cookie", cookie.Name+"="+cookie.Value)

	// b has the same key as a, but shares no memory with a, as after a restart.
	b, _ := newAuthority(t, "k "+secret+" subscribe **")
	identity, err := b.Identify(r, nil)
	if err != nil || !identity.Expires.Equal(clock.Add(7*24*time.Hour)) {
		t.Errorf("after a restart: %+v, %v", identity, err)
	}
	clock.Time = clock.Add(7 * 24 * time.Hour)
	if _, err := a.Identify(r, nil); statusOf(err) != 401 {
		t.Errorf("after a week: %v", err)
	}
	c, _ := newAuthority(t, "k another0123456789abcdef subscribe **")
	if _, err := c.Identify(r, nil); statusOf(err) != 401 {
		t.Errorf("with another secret: %v", err)
	}
}

func TestTickets(t *testing.T) {
	const page = "https://app.test"
	for _, test := range []struct {
		name          string
		bound, origin string
		after         time.Duration
		topic         string
		want          int
	}{
		{"from the same page", page, page, 0, "news", 200},
		{"before it expires", page, page, 30*time.Second - 1, "news", 200},
		{"when it expires", page, page, 30 * time.Second, "news", 401},
		{"from another page", page, "https://evil.test", 0, "news", 403},
		{"from no page", page, "", 0, "news", 403},
		{"for pages of the hub, from the hub", "", "", 0, "news", 200},
		{"for the hub's host name, from the hub", "http://hub.test", "", 0, "news", 200},
		{"for pages of the hub, from another page", "", page, 0, "news", 403},
		{"for another topic", page, page, 0, "sport", 403},
		{"for a topic that its pattern matches", page, page, 0, "room/1", 403},
	} {
		a, clock := newAuthority(t, "k "+secret+" subscribe **")
		identity, err := a.Identify(request("Authorization", "Bearer "+secret), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := a.Issue(identity, []string{"news"}, []sse.Pattern{pattern(t, "room/*")}, test.bound)
		if err != nil {
			t.Fatal(err)
		}
		clock.Time = clock.Add(test.after)
		query := url.Values{"ticket": {text}}
		r := request()
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		identity, err = a.Identify(r, query)
		if err == nil {
			err = identity.CheckTopics(auth.Subscribe, []string{test.topic})
		}
		if got := statusOf(err); got != test.want {
			t.Errorf("%s: %d (%v), want %d", test.name, got, err, test.want)
		}
		if _, err := a.Identify(r, query); statusOf(err) != 401 {
			t.Errorf("%s, used again: %v, want 401", test.name, err)
		}
		if test.want == 200 {
			if err := identity.CheckTopics(auth.Publish, []string{"news"}); statusOf(err) != 403 {
				t.Errorf("%s: publishing: %v, want 403", test.name, err)
			}
			if _, err := a.Issue(identity, nil, nil, ""); statusOf(err) != 403 {
				t.Errorf("%s: issuing another ticket: %v, want 403", test.name, err)
			}
		}
	}
}
