package interop

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/sse-go/sse"
)

// nginxModes are locations, and what they say besides where the server is. On
// HTTP/1.0, which is the default, a cut looks like the end of the response.
var nginxModes = []struct {
	Name       string
	Directives string
	proto      string // to the server
}{
	// All that most configurations say: proxy_buffering is on.
	{"default", "", "HTTP/1.0"},
	{"off", "proxy_buffering off;", "HTTP/1.0"},
	{"on-1.1", "proxy_http_version 1.1; proxy_buffering on;", "HTTP/1.1"},
	{"off-1.1", "proxy_http_version 1.1; proxy_buffering off;", "HTTP/1.1"},
	// On HTTP/1.0, as on 1.1 nginx passes on each chunk when it comes.
	{ignoring, "proxy_ignore_headers X-Accel-Buffering;", "HTTP/1.0"},
}

// ignoring is the mode in which nginx is told not to heed X-Accel-Buffering.
const ignoring = "ignoring"

// One process, without a master, whose workers would run as a user that cannot
// write to the prefix.
var nginxConfig = template.Must(template.New("").Parse(`
daemon off;
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
	server {
		listen {{.Listen}};
		{{range .Modes}}
		location /{{.Name}}/ { proxy_pass {{$.Server}}/; {{.Directives}} }
		{{end}}
	}
}
`))

// TestNginx reads our server with our client through nginx.
func TestNginx(t *testing.T) {
	program := need(t, "nginx", "apt-get install nginx-light", "nginx", "/usr/sbin/nginx")
	logVersion(t, nil, program, "-v")
	f := newFarm(t)
	url := startNginx(t, program, f)
	for _, mode := range nginxModes {
		if mode.Name == ignoring {
			continue
		}
		t.Run(mode.Name, func(t *testing.T) {
			f.checkOurs(t, url+"/"+mode.Name, mode.proto, "HTTP/1.1")
		})
	}
	t.Run(ignoring, func(t *testing.T) { f.checkBuffers(t, url+"/"+ignoring) })
}

// checkBuffers shows that the above has a meaning: if nginx does not heed
// X-Accel-Buffering, no event arrives before the end of the response.
func (f *farm) checkBuffers(t *testing.T, url string) {
	t.Helper()
	r := newRun(script{
		say(sse.Event{Data: "held back", ID: "1"}),
		{do: heartbeats},
		{do: end},
		say(sse.Event{Type: done}),
	}, ours)
	f.add(ignoring, r)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := &sse.Client{
		URL:        url + "/run/" + ignoring + "/events",
		HTTPClient: newHTTPClient(t, f.cert),
	}
	for event, err := range client.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if r.meet(2) {
			t.Errorf("%q arrived while the response was going on", event.Data)
		}
		return
	}
}

// startNginx starts nginx before the plain server, and returns its URL.
func startNginx(t *testing.T, program string, f *farm) string {
	t.Helper()
	dir, address := scratch(t), freeAddress(t)
	var config strings.Builder
	err := nginxConfig.Execute(&config, map[string]any{
		"Listen": address,
		"Server": f.plain.URL,
		"Modes":  nginxModes,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, program, "-p", dir, "-e", "stderr", "-c", file)
	err = eventually(func() error {
		select {
		case <-p.done:
			t.Fatalf("nginx has ended: %s", p.stderr)
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

// freeAddress is one that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
