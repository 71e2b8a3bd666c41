package interop

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// browser is a running browser that reads runs one after the other.
type browser struct {
	*farm
	process *process
	traits  traits
}

// testBrowser is the test of one browser.
func testBrowser(t *testing.T, b *browser) {
	for _, protocol := range []struct {
		name, proto string
		server      *httptest.Server
	}{
		{"HTTP1", "HTTP/1.1", b.plain},
		{"HTTP1 over TLS", "HTTP/1.1", b.tls1},
		{"HTTP2", "HTTP/2.0", b.tls2},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			r := newRun(everything(), b.traits)
			got := b.read(t, r, page{from: protocol.server.URL, events: protocol.server.URL})
			r.check(t, got, protocol.proto)
		})
		t.Run(protocol.name+" other origin", func(t *testing.T) {
			here := hostOf(protocol.server, pageHost)
			there := hostOf(protocol.server, eventsHost)
			t.Run("with credentials", func(t *testing.T) {
				r := newRun(everything(), b.traits)
				got := b.read(t, r, page{from: here, events: there, cookie: true, credentials: true})
				r.check(t, got, protocol.proto)
				r.checkCookie(t, "mine")
			})
			t.Run("without", func(t *testing.T) {
				r := newRun(everything(), b.traits)
				got := b.read(t, r, page{from: here, events: there, cookie: true})
				r.check(t, got, protocol.proto)
				r.checkCookie(t, "")
			})
		})
	}
	t.Run("hub", func(t *testing.T) { testHub(t, b) })
	t.Run("killed", func(t *testing.T) { testKilled(t, b) })
	t.Run("retry", func(t *testing.T) {
		r := newRun(impatience(), b.traits)
		r.probe.wanted = true
		got := b.read(t, r, page{from: b.plain.URL, events: b.plain.URL})
		r.check(t, got, "HTTP/1.1")
	})
}

// hostOf is the URL of a server under another name.
func hostOf(s *httptest.Server, host string) string {
	return strings.Replace(s.URL, "127.0.0.1", host, 1)
}

func (r *run) checkCookie(t *testing.T, want string) {
	t.Helper()
	for i, req := range r.noted() {
		if req.cookie != want {
			t.Errorf("request %d has the cookie %q, want %q", i+1, req.cookie, want)
		}
	}
}

// page is where a browser is to be, and what it is to do there.
type page struct {
	from, events        string // origins
	cookie, credentials bool   // get a cookie of the other origin first; send it
	again               bool   // come back by hand, if the browser gives up
}

// home is where a page sends its report. It is not on HTTP/2: what is cut there
// is the connection of all requests, and a receipt would be sent twice.
func (b *browser) home(page string) string {
	if strings.HasPrefix(page, "https:") {
		return b.tls1.URL
	}
	return b.plain.URL
}

// read lets the browser read a run, and returns its report.
func (b *browser) read(t *testing.T, r *run, p page) []received {
	t.Helper()
	b.open(t, r, p, p.events+"/run/"+runName(t)+"/events", r.script.types())
	return r.wait(t, b.process)
}

// runName is the name of a test's run, which is a part of its URLs.
func runName(t *testing.T) string {
	return url.PathEscape(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
}

// open lets the browser read a stream, and listen for the types.
func (b *browser) open(t *testing.T, r *run, p page, stream string, types []string) {
	t.Helper()
	name := runName(t)
	b.add(name, r)
	list, err := json.Marshal(types)
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"run": {name}, "types": {string(list)}, "url": {stream}}
	query.Set("home", b.home(p.from))
	if p.cookie {
		query.Set("cookie", p.events+"/cookie")
	}
	if p.credentials {
		query.Set("credentials", "")
	}
	if p.again {
		query.Set("again", "")
	}
	if r.probe.wanted {
		query.Set("probe", p.events+"/run/"+name+"/probe")
	}
	select {
	case b.next <- p.from + "/?" + query.Encode():
	case <-b.process.done:
		t.Fatalf("%s has ended", b.process.name)
	case <-newDeadline(t):
		t.Fatalf("%s does not open the page", b.process.name)
	}
}
