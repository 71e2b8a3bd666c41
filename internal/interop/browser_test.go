package interop

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// browser is a running browser. Its page asks the server for the next page to open,
// so that the browser does one run after the other.
type browser struct {
	*runServers
	process *process
	traits  traits

	// reading is the name of the run whose page is open. It is empty if the page
	// has sent its report.
	reading string
}

// testBrowser runs all tests of one browser.
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
			r := newRun(fullScript(), b.traits)
			got := b.read(t, r, page{from: protocol.server.URL, events: protocol.server.URL})
			r.check(t, got, protocol.proto)
		})
		t.Run(protocol.name+" other origin", func(t *testing.T) {
			here := hostOf(protocol.server, pageHost)
			there := hostOf(protocol.server, eventsHost)
			t.Run("with credentials", func(t *testing.T) {
				r := newRun(fullScript(), b.traits)
				got := b.read(t, r, page{from: here, events: there, cookie: true, credentials: true})
				r.check(t, got, protocol.proto)
				r.checkCookie(t, "mine")
			})
			t.Run("without credentials", func(t *testing.T) {
				r := newRun(fullScript(), b.traits)
				got := b.read(t, r, page{from: here, events: there, cookie: true})
				r.check(t, got, protocol.proto)
				r.checkCookie(t, "")
			})
		})
	}
	t.Run("hub", func(t *testing.T) { testHub(t, b) })
	t.Run("killed", func(t *testing.T) { testKilled(t, b) })
	t.Run("retry", func(t *testing.T) {
		r := newRun(retryScript(), b.traits)
		r.probe.wanted = true
		got := b.read(t, r, page{from: b.plain.URL, events: b.plain.URL})
		r.check(t, got, "HTTP/1.1")
	})
}

// hostOf returns the URL of a server with another host name.
func hostOf(s *httptest.Server, host string) string {
	return strings.Replace(s.URL, "127.0.0.1", host, 1)
}

// checkCookie checks that each request of the run had the cookie, or had no cookie if
// want is empty.
func (r *run) checkCookie(t *testing.T, want string) {
	t.Helper()
	for i, req := range r.allRequests() {
		if req.cookie != want {
			t.Errorf("request %d: got cookie %q, want %q", i+1, req.cookie, want)
		}
	}
}

// page describes the page that a browser opens. If cookie is set, the page first gets
// a cookie from the origin of the stream. If credentials is set, it sends cookies
// with its requests for the stream.
type page struct {
	from, events        string // origins of the page and of the stream
	cookie, credentials bool
	again               bool // a script in the page reconnects if the browser gives up
}

// home returns the URL to which a page sends its report and receipts. This server
// never uses HTTP/2, because all requests would then share a connection: a cut of
// the stream could break the request with a receipt, and the browser would send the
// receipt twice.
func (b *browser) home(page string) string {
	if strings.HasPrefix(page, "https:") {
		return b.tls1.URL
	}
	return b.plain.URL
}

// read makes the browser read the stream of a run, and returns its report.
func (b *browser) read(t *testing.T, r *run, p page) []received {
	t.Helper()
	b.open(t, r, p, p.events+"/run/"+runName(t)+"/events", r.script.types())
	return b.wait(t, r)
}

// wait waits for the report of the run whose page is open.
func (b *browser) wait(t *testing.T, r *run) []received {
	t.Helper()
	got := r.wait(t, b.process)
	b.reading = ""
	return got
}

// runName returns the name of a test's run, which is a part of its URLs.
func runName(t *testing.T) string {
	return url.PathEscape(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
}

// open makes the browser read a stream, and listen to events of the types. It does
// not wait for the report.
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
	b.openPage(t, name, p.from+"/?"+query.Encode())
}

// openPage makes the browser open the page of a run. It fails at once if the page of
// an earlier run, which failed, is still open. Otherwise each later run would wait
// for its deadline.
func (b *browser) openPage(t *testing.T, name, page string) {
	t.Helper()
	if b.reading != "" {
		t.Fatalf("%s is still in the page of %s, which failed", b.process.name, b.reading)
	}
	select {
	case b.next <- page:
		b.reading = name
	case <-b.process.done:
		t.Fatalf("%s ended", b.process.name)
	case <-newDeadline(t):
		t.Fatalf("%s did not open the page", b.process.name)
	}
}
