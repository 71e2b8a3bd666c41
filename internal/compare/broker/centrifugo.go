package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sse-go/sse/internal/compare/drive"
)

// Centrifugo is built from its module, outside of ours: its 100 dependencies
// would decide about the versions of the other libraries.
const (
	centrifugoModule  = "github.com/centrifugal/centrifugo/v6"
	centrifugoVersion = "v6.9.1"
)

// centrifugoConfig has what https://centrifugal.dev/docs/transports/uni_sse and
// /docs/server/configuration say: uni_sse enabled, no tokens, as no server here
// asks for any, and the API open to this machine, on which it listens only.
// Clients name their channel themselves, which allow_subscribe_for_client and
// allow_subscribe_for_anonymous permit. History is off, which is the default.
// usage_stats would talk to the Internet.
func centrifugoConfig(port string) map[string]any {
	type object = map[string]any
	return object{
		"http_server": object{"address": "127.0.0.1", "port": port},
		"log":         object{"level": "error"},
		"client": object{
			"allow_anonymous_connect_without_token": true,
		},
		"channel": object{
			"without_namespace": object{
				"allow_subscribe_for_client":    true,
				"allow_subscribe_for_anonymous": true,
			},
		},
		"http_api":    object{"insecure": true},
		"websocket":   object{"disabled": true},
		"uni_sse":     object{"enabled": true},
		"usage_stats": object{"disabled": true},
	}
}

// centrifugoPath is where the program is kept from one run to the next.
func centrifugoPath() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "sse-compare", "centrifugo-"+centrifugoVersion, "centrifugo"), err
}

func centrifugoBuilt() bool {
	path, err := centrifugoPath()
	if err == nil {
		_, err = os.Stat(path)
	}
	return err == nil
}

func buildCentrifugo(ctx context.Context) error {
	path, err := centrifugoPath()
	if err != nil || centrifugoBuilt() {
		return err
	}
	fmt.Fprintln(os.Stderr, "building Centrifugo, which takes minutes once")
	cmd := exec.CommandContext(ctx, "go", "install", centrifugoModule+"@"+centrifugoVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(path), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build centrifugo: %w (leave it out by -servers)\n%s", err, output)
	}
	return nil
}

func startCentrifugo(ctx context.Context, dir string) (*drive.Server, error) {
	path, err := centrifugoPath()
	if err != nil {
		return nil, err
	}
	addr, err := drive.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(centrifugoConfig(port))
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "centrifugo.json")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return nil, err
	}
	d, err := drive.StartDaemon(ctx, "centrifugo", path, "-c", config)
	if err != nil {
		return nil, err
	}
	if err := d.AwaitListening(addr); err != nil {
		d.Stop()
		return nil, err
	}
	p, stop := startPosts(ctx, http.Header{"Content-Type": {"application/json"}},
		func(topic string, data []byte) (string, []byte) {
			body := `{"channel":"` + topic + `","data":"` + string(data) + `"}`
			return "http://" + addr + "/api/publish", []byte(body)
		})
	return &drive.Server{
		Addr: addr, Path: centrifugoSubscribe("{topic}"), Body: true,
		Version: centrifugoVersion + ", memory engine, no history",
		PIDs:    []int{d.PID()}, Publisher: p,
		Stop: func() { stop(); d.Stop() },
	}, nil
}

// centrifugoSubscribe is the path of subscribers, which has a JSON object in its
// query.
func centrifugoSubscribe(topic string) string {
	const before, after = `{"subs":{"`, `":{}}}`
	return "/connection/uni_sse?cf_connect=" + url.QueryEscape(before) + topic +
		url.QueryEscape(after)
}
