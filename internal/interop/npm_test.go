package interop

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// clientsOfNPM are npm packages with their traits.
var clientsOfNPM = map[string]traits{
	"eventsource":        {ownID: true, asciiID: true},
	"eventsource-client": {asciiID: true, allTypes: true},
	"fetch-event-source": {
		idOnly: true, ownID: true, earlyID: true, asciiID: true, allBlocks: true, allTypes: true,
		mangle: mangleByLine,
	},
}

// mangleByLine changes an event like @microsoft/fetch-event-source, which drops
// empty lines at the beginning of the data and decodes each value separately,
// so that a byte order mark at its beginning is lost.
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

// readInNode makes a client in Node do a run, and returns its report.
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

// waitOutput waits for the report on the standard output of a process.
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
