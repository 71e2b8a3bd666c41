package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
)

// proxy is a program that forwards requests to a server, its origin. It has a pool of
// connections to the origin, which it reuses for other requests.
type proxy struct {
	name, install string
	programs      []string
	version       string   // the flag that prints the version
	args          []string // with {dir}, {file} and {listen}, which start replaces
	env           []string // with the same placeholders
	config        string   // a template with the fields Dir, Listen, Origin and OriginPort
}

var proxies = []proxy{
	{
		name: "nginx", install: "apt-get install nginx-light",
		programs: []string{"nginx", "/usr/sbin/nginx"}, version: "-v",
		args: []string{"-p", "{dir}", "-e", "stderr", "-c", "{file}"},
		config: `daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream origin { server {{.Origin}}; keepalive 8; }
	server {
		listen {{.Listen}};
		location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
`,
	},
	{
		name: "HAProxy", install: "apt-get install haproxy",
		programs: []string{"haproxy", "/usr/sbin/haproxy"}, version: "-v",
		args: []string{"-db", "-q", "-f", "{file}"},
		config: `defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
	option http-no-delay
	http-reuse always
frontend all
	bind {{.Listen}}
	default_backend origin
backend origin
	server origin {{.Origin}}
`,
	},
	{
		name: "Varnish", install: "apt-get install varnish",
		programs: []string{"varnishd", "/usr/sbin/varnishd"}, version: "-V",
		args: []string{"-F", "-j", "none", "-n", "{dir}/work", "-a", "{listen}", "-T", "none",
			"-s", "malloc,64m", "-f", "{file}"},
		config: `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "{{.OriginPort}}"; }
sub vcl_recv { return (pass); }
`,
	},
	{
		name: "Apache", install: "apt-get install apache2-bin",
		programs: []string{"apache2", "/usr/sbin/apache2"}, version: "-v",
		args: []string{"-D", "FOREGROUND", "-d", "{dir}", "-f", "{file}"},
		config: `DefaultRuntimeDir {{.Dir}}
PidFile {{.Dir}}/apache.pid
ServerName localhost
Listen {{.Listen}}
ErrorLog /dev/stderr
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
StartServers 1
ProxyPass / http://{{.Origin}}/
`,
	},
	{
		name: "Squid", install: "apt-get install squid",
		programs: []string{"squid", "/usr/sbin/squid"}, version: "-v",
		args: []string{"-N", "-f", "{file}"},
		config: `http_port {{.Listen}} accel defaultsite=localhost
cache_peer 127.0.0.1 parent {{.OriginPort}} 0 no-query no-digest originserver
http_access allow all
cache deny all
pid_filename {{.Dir}}/squid.pid
cache_log /dev/null
access_log none
netdb_filename none
pinger_enable off
coredump_dir {{.Dir}}
shutdown_lifetime 1 second
visible_hostname localhost
`,
	},
	{
		name: "Caddy", install: "apt-get install caddy",
		programs: []string{"caddy"}, version: "version",
		args: []string{"run", "--adapter", "caddyfile", "--config", "{file}"},
		env:  []string{"HOME={dir}", "XDG_CONFIG_HOME={dir}", "XDG_DATA_HOME={dir}"},
		config: `{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://{{.Listen}} {
	reverse_proxy {{.Origin}}
}
`,
	},
}

// start starts the proxy in front of an origin, and returns its URL.
func (p *proxy) start(t *testing.T, origin string) string {
	t.Helper()
	program := findProgram(t, p.name, p.install, p.programs...)
	logVersion(t, nil, program, p.version)
	dir, listen := scratch(t), freeAddress(t)
	if err := os.Chmod(dir, 0o755); err != nil { // some programs change their user
		t.Fatal(err)
	}
	_, originPort, err := net.SplitHostPort(origin)
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	if err := template.Must(template.New("").Parse(p.config)).Execute(&config, map[string]any{
		"Dir": dir, "Listen": listen, "Origin": origin, "OriginPort": originPort,
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	replaced := func(list []string) (out []string) {
		r := strings.NewReplacer("{dir}", dir, "{file}", file, "{listen}", listen)
		for _, s := range list {
			out = append(out, r.Replace(s))
		}
		return out
	}
	process := start(t, replaced(p.env), program, replaced(p.args)...)
	err = eventually(func() error {
		select {
		case <-process.done:
			t.Fatalf("%s ended: %s", p.name, process.stderr)
		default:
		}
		resp, err := http.Post("http://"+listen, "", strings.NewReader("x"))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + listen
}

// origin is a server behind a proxy. Its broker and its http.Server can be replaced
// while its port accepts connections.
type origin struct {
	t        *testing.T
	socket   *net.TCPListener // each http.Server listens on a duplicate of this socket
	broker   atomic.Pointer[sse.Broker]
	shutdown func() // shuts down the current http.Server and the broker
}

func newOrigin(t *testing.T) *origin {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{t: t, socket: listener.(*net.TCPListener)}
	o.broker.Store(&sse.Broker{})
	o.serve()
	t.Cleanup(func() {
		o.shutdown()
		_ = listener.Close()
	})
	return o
}

// serve starts another http.Server and sets shutdown.
func (o *origin) serve() {
	file, err := o.socket.File()
	if err != nil {
		o.t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		o.t.Fatal(err)
	}
	server := &http.Server{ConnContext: sse.ConnContext, Handler: o}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // http.ErrServerClosed
	}()
	o.shutdown = func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		// The broker must end its streams while server.Shutdown waits: held
		// streams block server.Shutdown.
		go func() { _ = o.broker.Load().Shutdown(ctx) }()
		if err := server.Shutdown(ctx); err != nil {
			o.t.Errorf("http.Server.Shutdown: %v", err)
		}
		if err := o.broker.Load().Shutdown(ctx); err != nil {
			o.t.Errorf("Broker.Shutdown: %v", err)
		}
		<-ended
	}
}

// ServeHTTP answers a GET with a stream, and a POST with its body. It closes the
// connection after a POST, so that the proxy does not reuse it. Otherwise
// http.Server.Shutdown could close such a connection just when the proxy sends
// another POST on it. That POST would fail although the stream was ended correctly.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		o.broker.Load().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Connection", "close")
	_, _ = io.Copy(w, r.Body)
}

// round is one stream through a proxy.
type round struct {
	origin *origin
	broker *sse.Broker
	ended  chan error // receives the reason when the stream has ended
}

// endings are the ways in which a server can end a stream.
var endings = []struct {
	name      string
	configure func(*sse.Broker, *sse.Selection)
	end       func(*round) // nil if the stream ends by itself
}{
	{"Kick", nil, (*round).kick},
	{"MaxAge", func(b *sse.Broker, _ *sse.Selection) { b.MaxAge = 20 * time.Millisecond }, nil},
	{"Expires", func(_ *sse.Broker, sel *sse.Selection) {
		sel.Expires = time.Now().Add(20 * time.Millisecond)
	}, nil},
	{"lag", func(_ *sse.Broker, sel *sse.Selection) { sel.MaxLag = 1 }, (*round).flood},
	{"WriteTimeout", func(b *sse.Broker, sel *sse.Selection) {
		b.Streams.WriteTimeout, b.Streams.Heartbeat = 50*time.Millisecond, 20*time.Millisecond
		sel.MaxLag = -1
	}, (*round).flood},
	{"Shutdown", nil, func(r *round) { go r.shutdown() }},
	{"drain", func(b *sse.Broker, _ *sse.Selection) { b.DrainOver = 10 * time.Millisecond },
		func(r *round) { go r.shutdown() }},
	{"shutdown of the server, with a successor", nil, func(r *round) {
		before := r.origin.shutdown
		r.origin.serve()
		before()
	}},
}

func (r *round) kick() { r.broker.Kick(func(sse.Subscriber) bool { return true }) }

func (r *round) shutdown() { _ = r.broker.Shutdown(context.Background()) }

// flood publishes events of 1 MiB while the client reads nothing, until the stream
// has ended. Some proxies store everything, so that the stream does not end: flood
// kicks it after 32 events.
func (r *round) flood() {
	data := strings.Repeat("x", 1<<20)
	for range 32 {
		if _, err := r.broker.Publish(context.Background(), sse.Event{Data: data}); err != nil {
			r.origin.t.Error(err)
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	r.kick()
}

// TestProxiesPool subscribes through proxies. The server ends the stream in all
// possible ways, and POSTs follow at once. No POST may fail: a proxy must not reuse
// the stream's connection for a POST, because the server will close this connection.
func TestProxiesPool(t *testing.T) {
	rounds := 5 * len(endings)
	if brokertest.Soak {
		rounds = 25 * len(endings)
	}
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			brokertest.OnSockets(t, func(t *testing.T, park bool) {
				o := newOrigin(t)
				url := p.start(t, o.socket.Addr().String())
				client := &http.Client{Transport: &http.Transport{}, Timeout: deadline}
				defer client.CloseIdleConnections()
				failed := make(map[string]int)
				for i := range rounds {
					e := i % len(endings)
					if err := o.round(client, url, e, park, i/len(endings)%2 == 1); err != nil {
						failed[endings[e].name]++
						t.Logf("round %d, %s: %v", i, endings[e].name, err)
					}
				}
				if len(failed) > 0 {
					t.Errorf("of %d rounds these failed: %v", rounds, failed)
				}
			})
		})
	}
}

// round subscribes, ends the stream in the way with the index ending, and sends
// POSTs. If final is set, the broker sends a last event before the end. round returns
// the errors of the POSTs.
func (o *origin) round(client *http.Client, url string, ending int, park, final bool) error {
	o.t.Helper()
	e := endings[ending]
	connected := make(chan sse.Subscriber, 1)
	r := &round{origin: o, ended: make(chan error, 1)}
	r.broker = &sse.Broker{Park: park, OnConnect: func(s sse.Subscriber) { connected <- s },
		OnDisconnect: func(_ sse.Subscriber, err error) { r.ended <- err }}
	if final {
		r.broker.Streams.Final = &sse.Event{Type: "bye"}
	}
	var sel sse.Selection
	if e.configure != nil {
		e.configure(r.broker, &sel)
	}
	r.broker.Select = func(*http.Request) (sse.Selection, error) { return sel, nil }
	o.broker.Store(r.broker)
	defer r.shutdown()

	resp, err := client.Get(url)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	if s := <-connected; s.Wait != brokertest.WaitName(park) {
		o.t.Fatalf("the stream is %s: %s", s.Wait, s.Why)
	}
	if e.end != nil {
		e.end(r)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // some streams are cut
	// Send the POSTs at once, while the proxy may not yet know that the server
	// closes the stream's connection.
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- postOne(client, url) }()
	}
	for range cap(errs) {
		err = errors.Join(err, <-errs)
	}
	<-r.ended
	return err
}

// postOne sends a POST, and checks its response.
func postOne(client *http.Client, url string) error {
	posted, err := client.Post(url, "text/plain", strings.NewReader("x"))
	if err != nil {
		return err
	}
	defer posted.Body.Close()
	body, err := io.ReadAll(posted.Body)
	if err == nil && (posted.StatusCode != http.StatusOK || string(body) != "x") {
		err = fmt.Errorf("got %s, %q, want 200 and the body", posted.Status, body)
	}
	return err
}
