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

// nginxModes are the locations of the configuration. By default, nginx uses HTTP/1.0
// between itself and the server. With HTTP/1.0, a cut connection looks like the
// proper end of a response.
var nginxModes = []struct {
	Name       string
	Directives string
	proto      string // between nginx and the server
}{
	// The typical configuration. By default, proxy_buffering is on.
	{"default", "", "HTTP/1.0"},
	{"off", "proxy_buffering off;", "HTTP/1.0"},
	{"on-1.1", "proxy_http_version 1.1; proxy_buffering on;", "HTTP/1.1"},
	{"off-1.1", "proxy_http_version 1.1; proxy_buffering off;", "HTTP/1.1"},
	// This mode must use HTTP/1.0: with HTTP/1.1, nginx forwards each chunk at
	// once, so it would not buffer.
	{ignoreMode, "proxy_ignore_headers X-Accel-Buffering;", "HTTP/1.0"},
}

// ignoreMode is the mode in which nginx ignores X-Accel-Buffering.
const ignoreMode = "ignore"

// nginxConfig makes nginx run as one process, without a master process. A master
// would run its worker processes as another user. They could not write to the
// directory of this test.
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

// TestNginx reads the full script from our server with our client through nginx.
func TestNginx(t *testing.T) {
	program := findProgram(t, "nginx", "apt-get install nginx-light", "nginx", "/usr/sbin/nginx")
	logVersion(t, nil, program, "-v")
	f := newRunServers(t)
	url := startNginx(t, program, f)
	for _, mode := range nginxModes {
		if mode.Name == ignoreMode {
			continue
		}
		t.Run(mode.Name, func(t *testing.T) {
			f.checkClient(t, url+"/"+mode.Name, mode.proto, "HTTP/1.1")
		})
	}
	t.Run(ignoreMode, func(t *testing.T) { f.checkBuffers(t, url+"/"+ignoreMode) })
}

// checkBuffers checks that our server must send the header X-Accel-Buffering: if
// nginx ignores this header, no event arrives before the end of the response.
func (f *runServers) checkBuffers(t *testing.T, url string) {
	t.Helper()
	r := newRun(script{
		sendStep(sse.Event{Data: "held back", ID: "1"}),
		{do: heartbeats},
		{do: end},
		sendStep(sse.Event{Type: done}),
	}, sseTraits)
	f.add(ignoreMode, r)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := &sse.Client{
		URL:        url + "/run/" + ignoreMode + "/events",
		HTTPClient: newHTTPClient(t, f.cert),
	}
	for event, err := range client.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if r.reach(2) {
			t.Errorf("event %q arrived before the end of the response, want it buffered", event.Data)
		}
		return
	}
}

// startNginx starts nginx as a proxy of the plain server, and returns its URL.
func startNginx(t *testing.T, program string, f *runServers) string {
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
			t.Fatalf("nginx ended: %s", p.stderr)
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

// freeAddress returns a loopback address with a port that is free at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
