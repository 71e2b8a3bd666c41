package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hubKey is a key that may publish and subscribe.
const hubKey = "5ab0b1c0f7a84f6e9d3cbb1f0a3e7e52"

// hubProcess is a process of "sse serve", the hub.
type hubProcess struct {
	*process
	t       *testing.T
	program string
	data    string // data directory
	port    string // "0", a free port, until start has been called
	flags   []string
}

// buildHub builds the command sse, which is in another module, and returns its path.
func buildHub(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sse.exe")
	output, err := exec.Command("go", "build", "-o", program, "../../cmd/sse").CombinedOutput()
	if err != nil && strings.Contains(string(output), "main module") {
		skipMissing(t, "workspace", "unset GOWORK")
	}
	if err != nil {
		t.Fatalf("go build ../../cmd/sse: %v\n%s", err, output)
	}
	return program
}

// startHub starts a hub on a free port.
func startHub(t *testing.T, program string, flags ...string) *hubProcess {
	t.Helper()
	h := &hubProcess{t: t, program: program, data: scratch(t), port: "0", flags: flags}
	h.start()
	return h
}

// withKeys writes a file of keys that contains only hubKey. It returns the flag of
// the hub for this file.
func withKeys(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	text := "page " + hubKey + " publish ** subscribe **\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--keys=" + file
}

// start starts the hub and waits until it serves. If the hub ran before, it has the
// same port and the same data again.
func (h *hubProcess) start() {
	h.t.Helper()
	args := append([]string{"serve", "--addr=localhost:" + h.port, "--data=" + h.data}, h.flags...)
	h.process = start(h.t, nil, h.program, args...)
	select {
	case <-h.stderr.hasLine:
	case <-h.done:
	case <-newDeadline(h.t):
		h.t.Fatal("the hub logged nothing")
	}
	line, _, _ := strings.Cut(h.stderr.String(), "\n")
	_, rest, ok := strings.Cut(line, "serving http://localhost:")
	if !ok {
		h.t.Fatalf("got first line %q of the hub, want its address", line)
	}
	h.port, _, _ = strings.Cut(rest, ";")
}

// at returns the URL of the hub with one of the host names of this machine.
func (h *hubProcess) at(host string) string { return "http://" + host + ":" + h.port }

// do sends a request with hubKey, as a program does, and returns the body of the
// response. It fails the test unless the status is 200.
func (h *hubProcess) do(method, path, body string) string {
	h.t.Helper()
	req, err := http.NewRequest(method, h.at("127.0.0.1")+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+hubKey)
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %s: %s %q, %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

// publish publishes an event to the topic news.
func (h *hubProcess) publish(data string) { h.t.Helper(); h.do("POST", "/news", data) }

// ticket gets a ticket for the topic news, as the back end of a page does. Only pages
// of the origin can use the ticket, or pages of the hub's own origin if origin is
// empty.
func (h *hubProcess) ticket(origin string) string {
	h.t.Helper()
	var answer struct{ Ticket string }
	text := h.do("POST", "/-/tickets?topic=news&origin="+url.QueryEscape(origin), "")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Ticket == "" {
		h.t.Fatalf("got response %q, error %v; want a ticket", text, err)
	}
	return answer.Ticket
}

// checkStored checks the data of all stored events. want has the data of each event,
// separated by spaces.
func (h *hubProcess) checkStored(want string) {
	h.t.Helper()
	var got []string
	for line := range strings.Lines(h.do("GET", "/**?follow=0", "")) {
		var event struct{ Data string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			h.t.Fatalf("%q: %v", line, err)
		}
		got = append(got, event.Data)
	}
	if text := strings.Join(got, " "); text != want {
		h.t.Errorf("got events %q in the hub, want %q", text, want)
	}
}

// checkLogged checks that the hub has logged a text exactly once.
func (h *hubProcess) checkLogged(want string) {
	h.t.Helper()
	if n := strings.Count(h.stderr.String(), want); n != 1 {
		h.t.Errorf("the hub logged %q %d times, want once:\n%s", want, n, h.stderr.String())
	}
}

// front starts a server with the pages below /page/. It forwards all other requests
// to the hub, so that the pages and the hub have the same origin.
func (h *hubProcess) front() *httptest.Server {
	target, err := url.Parse(h.at("127.0.0.1"))
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{}
	mux := http.NewServeMux()
	mux.Handle("GET /page/", http.StripPrefix("/page/", http.FileServer(http.Dir("testdata/page"))))
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      discardLog,
	})
	server := httptest.NewServer(mux)
	h.t.Cleanup(func() {
		server.CloseClientConnections() // a browser may still have an open stream
		server.Close()
		transport.CloseIdleConnections()
	})
	return server
}

// hubStep is one action of a page. testdata/page/hub.js executes it.
type hubStep struct {
	Do      string         `json:"do"`
	URL     string         `json:"url"`
	Options map[string]any `json:"options,omitempty"`
}

type options = map[string]any

var (
	login      = options{"method": "POST", "form": options{"key": hubKey}, "credentials": "include"}
	post       = options{"method": "POST", "body": "from the page", "credentials": "include"}
	withCookie = options{"credentials": "include"}
	noCORS     = options{"method": "POST", "body": "from the page", "credentials": "include", "mode": "no-cors"}
	cookie     = options{"withCredentials": true}
)

// visit makes the browser execute steps on a page, and checks their results. When
// the page opens its first stream, visit calls the first function in meanwhile. At
// the second stream it calls the second function, and so on.
func (b *browser) visit(t *testing.T, page string, steps []hubStep, want []received, meanwhile ...func()) {
	t.Helper()
	list, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	name, r := runName(t), newRun(nil, b.traits)
	b.add(name, r)
	query := url.Values{"run": {name}, "home": {b.plain.URL}, "steps": {string(list)}}
	b.openPage(t, name, page+"?"+query.Encode())
	for _, do := range meanwhile {
		select {
		case <-r.receipts:
			do()
		case got := <-r.report:
			t.Fatalf("the page opened no stream; its results: %+v", got)
		case failure := <-r.failure:
			t.Fatal(failure)
		case <-newDeadline(t):
			t.Fatal("the page opened no stream")
		}
	}
	compareResults(t, b.wait(t, r), want)
}

// compareResults compares results. The data in want may contain "…". For example,
// "403 …--cors" equals all data that begins with "403 " and contains "--cors".
func compareResults(t *testing.T, got, want []received) {
	t.Helper()
	for i := range got {
		if i < len(want) {
			begin, part, _ := strings.Cut(want[i].Data, "…")
			if part != "" && strings.HasPrefix(got[i].Data, begin) && strings.Contains(got[i].Data, part) {
				got[i].Data = want[i].Data
			}
		}
	}
	compare(t, got, want)
}

func answer(text string) received  { return received{Type: "answer", Data: text} }
func message(text string) received { return received{Type: "message", Data: text} }

var closed = received{Type: "closed"}

// testHub tests which pages can use a hub with a cookie, and which with a ticket. The
// pages are on the hub's own origin, on another origin of the same site, or on
// another site.
func testHub(t *testing.T, b *browser) {
	program := buildHub(t)
	pageOrigin := hostOf(b.plain, pageHost)
	t.Run("same origin by cookie", func(t *testing.T) {
		h := startHub(t, program, withKeys(t))
		front := h.front()
		b.visit(t, front.URL+"/page/hub.html", []hubStep{
			{Do: "source", URL: "/news"},
			{Do: "fetch", URL: "/news", Options: post},
			{Do: "fetch", URL: "/-/login", Options: options{"method": "POST", "form": options{"key": "wrong"}}},
			{Do: "fetch", URL: "/-/login", Options: login},
			{Do: "cookie"},
			{Do: "fetch", URL: "/news", Options: post},
			{Do: "source", URL: "/news?since=earliest"},
			{Do: "fetch", URL: "/-/tickets?topic=news", Options: options{"method": "POST"}},
			{Do: "fetch", URL: "/-/logout", Options: options{"method": "POST"}},
			{Do: "source", URL: "/news?since=earliest&ticket={}"},
			{Do: "source", URL: "/news?since=earliest"},
			{Do: "image", URL: "/news"},
		}, []received{
			closed,
			answer("401 …/-/login"),
			answer("401 …unknown"),
			answer("200"),
			{Type: "cookie"}, // scripts cannot read it
			answer("200"),
			message("from the page"), message("done"),
			answer("200"),
			answer("200"),
			closed, // the last answer is not a ticket
			closed,
			{Type: "image", Data: "none"},
		}, func() { h.publish("done") })
		h.checkStored("from the page done")
	})
	t.Run("same origin by ticket", func(t *testing.T) {
		h := startHub(t, program, withKeys(t))
		front := h.front()
		ticket := h.ticket("")
		b.visit(t, front.URL+"/page/hub.html", []hubStep{
			{Do: "source", URL: "/news?ticket=" + ticket},
			{Do: "source", URL: "/news?ticket=" + ticket},
			{Do: "fetch", URL: "/-/login", Options: login},
			{Do: "fetch", URL: "/-/tickets?topic=news", Options: options{"method": "POST"}},
			{Do: "source", URL: "/news?since=earliest&ticket={}"},
		}, []received{
			message("one"), message("done"),
			closed, // a ticket can be used only once
			answer("200"),
			answer("200"),
			message("one"), message("done"),
		}, func() { h.publish("one"); h.publish("done") })
	})
	t.Run("other origin by cookie", func(t *testing.T) {
		h := startHub(t, program, withKeys(t), "--cors="+pageOrigin)
		hub := h.at(eventsHost)
		b.visit(t, pageOrigin+"/hub.html", []hubStep{
			{Do: "fetch", URL: hub + "/-/login", Options: login},
			{Do: "source", URL: hub + "/news"}, // without the cookie
			{Do: "source", URL: hub + "/news",
				Options: options{"withCredentials": true, "again": b.traits.needsServer}},
			{Do: "fetch", URL: hub + "/news", Options: post},
			{Do: "fetch", URL: hub + "/news", Options: options{"method": "POST", "body": "with a key",
				"headers": options{"Authorization": "Bearer " + hubKey, "Idempotency-Key": "k"}}}, // preflighted
			{Do: "fetch", URL: hub + "/-/logout", Options: options{"method": "POST", "credentials": "include"}},
			{Do: "fetch", URL: hub + "/news?follow=0", Options: withCookie},
		}, []received{
			answer("200"),
			closed,
			message("one"), message("two"), message("three"), message("done"),
			answer("200"),
			answer("200"),
			answer("200"),
			answer("401 …/-/login"),
		}, func() {
			// After a restart, the browser resumes with the same cookie.
			h.publish("one")
			h.interrupt(t)
			h.start()
			h.publish("two")
		}, func() { h.publish("three"); h.publish("done") })
		h.checkStored("one two three done from the page with a key")
	})
	t.Run("other site by ticket", func(t *testing.T) {
		h := startHub(t, program, withKeys(t), "--cors="+b.plain.URL)
		hub := h.at(eventsHost)
		b.visit(t, b.plain.URL+"/hub.html", []hubStep{
			{Do: "source", URL: hub + "/news?ticket=" + h.ticket(b.plain.URL)},
			{Do: "source", URL: hub + "/news?ticket=" + h.ticket(pageOrigin)},
			{Do: "source", URL: hub + "/sport?ticket=" + h.ticket(b.plain.URL)},
			{Do: "source", URL: hub + "/news"},
		}, []received{message("done"), closed, closed, closed}, func() { h.publish("done") })
	})
	t.Run("foreign page", func(t *testing.T) { testForeignPage(t, b, program) })
	if b.traits.foreignHost {
		t.Run("foreign host", func(t *testing.T) { testForeignHost(t, b, program) })
	}
}

// attackSteps returns the actions with which a page tries to use a hub without
// permission. hub is the URL of the hub.
func attackSteps(hub string) []hubStep {
	return []hubStep{
		{Do: "source", URL: hub + "/news?since=earliest", Options: cookie},
		{Do: "fetch", URL: hub + "/news?follow=0", Options: withCookie},
		{Do: "fetch", URL: hub + "/news", Options: post},
		{Do: "fetch", URL: hub + "/news", Options: noCORS},
		{Do: "fetch", URL: hub + "/news", Options: options{"method": "PUT", "body": "from the page\n"}},
		{Do: "fetch", URL: hub + "/news", Options: options{"method": "DELETE"}},
		{Do: "fetch", URL: hub + "/-/tickets?topic=news", Options: post},
		{Do: "image", URL: hub + "/news?follow=0"},
	}
}

// A page of another origin can neither publish nor read: not on a hub without keys,
// and not on a hub with keys, even if the browser has the cookie of a user who has
// logged in. The hub logs the flag that would allow the origin.
func testForeignPage(t *testing.T, b *browser, program string) {
	pageOrigin := hostOf(b.plain, pageHost)
	want := []received{
		closed, answer("hidden"), answer("hidden"), answer("opaque"), answer("hidden"), answer("hidden"),
		answer("hidden"), {Type: "image", Data: "none"},
	}
	t.Run("open hub", func(t *testing.T) {
		h := startHub(t, program)
		h.publish("secret")
		b.visit(t, pageOrigin+"/hub.html", attackSteps(h.at(eventsHost)), want)
		h.checkStored("secret")
		h.checkLogged("--cors " + pageOrigin + " allows it")
	})
	t.Run("hub with keys", func(t *testing.T) {
		h := startHub(t, program, withKeys(t))
		h.publish("secret")
		front := hostOf(h.front(), eventsHost) // the host name of the hub: both share cookies
		t.Run("login", func(t *testing.T) {
			b.visit(t, front+"/page/hub.html", []hubStep{
				{Do: "fetch", URL: "/-/login", Options: login},
				{Do: "fetch", URL: h.at(eventsHost) + "/news?follow=0", Options: withCookie}, // another port
				{Do: "fetch", URL: "/news?follow=0"},
			}, []received{answer("200"), answer("hidden"), answer("200")})
		})
		b.visit(t, pageOrigin+"/hub.html", attackSteps(h.at(eventsHost)), want)
		h.checkStored("secret")
		h.checkLogged("--cors " + pageOrigin + " allows it")
		h.checkLogged("--cors " + front + " allows it")
	})
}

// reboundHost is a host name for a DNS rebinding attack: the attacker serves a page
// at this name, and then lets the name resolve to this machine.
const reboundHost = "rebound.example" // in lower case, as browsers send it

// In a DNS rebinding attack, the browser considers the attacker's page and the hub
// to have the same origin. The hub must refuse requests with this host name.
func testForeignHost(t *testing.T, b *browser, program string) {
	h := startHub(t, program)
	h.publish("secret")
	refused := answer("421 …--host " + reboundHost)
	b.visit(t, hostOf(h.front(), reboundHost)+"/page/hub.html", attackSteps(""), []received{
		closed, refused, refused, refused, refused, refused, refused, {Type: "image", Data: "none"},
	})
	h.checkStored("secret")
	h.checkLogged("--host " + reboundHost + " allows it")
}
