package interop

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// clientsOfNPM are the tested npm packages and their traits.
var clientsOfNPM = map[string]traits{
	"eventsource":        {ownID: true, asciiID: true},
	"eventsource-client": {asciiID: true, allTypes: true},
	"fetch-event-source": {
		idOnly: true, ownID: true, earlyID: true, asciiID: true, allBlocks: true, allTypes: true,
		mangle: mangleByLine,
	},
}

// mangleByLine changes an event as @microsoft/fetch-event-source does. That package
// drops empty lines at the beginning of the data. It also decodes the value of each
// field separately, so that a byte order mark at the beginning of a value is lost.
func mangleByLine(e received) received {
	lines := strings.Split(e.Data, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "\uFEFF")
	}
	for len(lines) > 1 && lines[0] == "" {
		lines = lines[1:]
	}
	e.Data = strings.Join(lines, "\n")
	e.Type = strings.TrimPrefix(e.Type, "\uFEFF")
	return e
}

func TestClientsOfNPM(t *testing.T) {
	node := findNode(t)
	f := newRunServers(t)
	certFile, _ := f.cert.write(t, t.TempDir())
	logVersion(t, nil, node, "--version")
	for name, traits := range clientsOfNPM {
		for _, protocol := range []struct {
			name, proto string
			server      *httptest.Server
		}{
			{"HTTP1", "HTTP/1.1", f.plain},
			{"HTTP1 over TLS", "HTTP/1.1", f.tls1},
			{"HTTP2", "HTTP/2.0", f.tls2},
		} {
			t.Run(name+"/"+protocol.name, func(t *testing.T) {
				r := newRun(fullScript(), traits)
				got := f.readInNode(t, r, node, certFile, name, protocol.server)
				r.check(t, got, protocol.proto)
			})
		}
		t.Run(name+"/retry", func(t *testing.T) {
			r := newRun(retryScript(), traits)
			r.probe.wanted = true
			got := f.readInNode(t, r, node, certFile, name, f.plain)
			r.check(t, got, "HTTP/1.1")
		})
	}
}

// readInNode runs an npm package in Node, which reads the script of r from a server.
// It returns the events that the package reports.
func (f *runServers) readInNode(
	t *testing.T, r *run, node, certFile, client string, from *httptest.Server,
) []received {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	f.add(name, r)
	arguments := map[string]any{
		"client": client,
		"url":    from.URL + "/run/" + name + "/events",
		"types":  r.script.types(),
		"home":   f.plain.URL + "/run/" + name,
		"http2":  from == f.tls2,
	}
	if r.probe.wanted {
		arguments["probe"] = from.URL + "/run/" + name + "/probe"
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"NODE_EXTRA_CA_CERTS=" + certFile}, node,
		"testdata/node/client.mjs", string(text))
	return r.waitOutput(t, p)
}

// waitOutput waits for the report of a client, which is the first line of p's
// standard output.
func (r *run) waitOutput(t *testing.T, p *process) []received {
	t.Helper()
	select {
	case <-p.stdout.hasLine:
	case <-p.done:
	case failure := <-r.failure:
		t.Fatalf("%s: %s\nrequests: %+v", p.name, failure, r.allRequests())
	case <-newDeadline(t):
		t.Fatalf("%s sent no report; its requests: %+v", p.name, r.allRequests())
	}
	var got []received
	if err := json.Unmarshal([]byte(p.stdout.String()), &got); err != nil {
		t.Fatalf("decoding the report: %v; requests: %+v", err, r.allRequests())
	}
	return got
}
