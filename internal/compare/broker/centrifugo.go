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

// Centrifugo is not a requirement of this module, because its 100 dependencies would
// determine the versions of the other libraries.
const (
	centrifugoModule  = "github.com/centrifugal/centrifugo/v6"
	centrifugoVersion = "v6.9.1"
)

// centrifugoConfig returns a configuration that follows
// https://centrifugal.dev/docs/transports/uni_sse and
// https://centrifugal.dev/docs/server/configuration. uni_sse is the transport over
// which Centrifugo sends event streams. Clients need no tokens, because the other
// servers of the comparison need none either. The API needs no key, because the
// server listens only on 127.0.0.1. allow_subscribe_for_client and
// allow_subscribe_for_anonymous permit clients to choose their channel. History is
// off by default. usage_stats is disabled, because it would connect to the Internet.
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

// centrifugoPath returns the path of the program. The program remains there after a
// run, because the build takes minutes.
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
	fmt.Fprintln(os.Stderr, "building Centrifugo; this takes minutes, but only once")
	cmd := exec.CommandContext(ctx, "go", "install", centrifugoModule+"@"+centrifugoVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(path), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build centrifugo: %w (exclude it with -servers)\n%s", err, output)
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
	p, stop := drive.StartPosts(ctx, http.Header{"Content-Type": {"application/json"}},
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

// centrifugoSubscribe returns the path for subscribers of a topic. Its query contains
// a JSON object.
func centrifugoSubscribe(topic string) string {
	const before, after = `{"subs":{"`, `":{}}}`
	return "/connection/uni_sse?cf_connect=" + url.QueryEscape(before) + topic +
		url.QueryEscape(after)
}
