package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sse-go/sse/internal/compare/drive"
)

// startHub starts "sse serve" with default settings, except for its address and its
// data directory, which is a new directory in dir. Events are published over HTTP.
func startHub(ctx context.Context, dir string) (*drive.Server, error) {
	data, err := os.MkdirTemp(dir, "hub")
	if err != nil {
		return nil, err
	}
	addr, err := drive.FreeAddr()
	if err != nil {
		return nil, err
	}
	d, err := drive.StartDaemon(ctx, "hub", filepath.Join(dir, "sse"), "serve",
		"--addr", addr, "--data", data)
	if err != nil {
		return nil, err
	}
	if err := d.AwaitListening(addr); err != nil {
		d.Stop()
		return nil, err
	}
	p, stop := startPosts(ctx, http.Header{"Content-Type": {"text/plain"}},
		func(topic string, data []byte) (string, []byte) { return "http://" + addr + "/" + topic, data })
	return &drive.Server{
		Addr: addr, Path: "/{topic}", Pattern: "/-/events?pattern={topic}", Body: true,
		Version: "this tree, sse serve with default settings, publishing over HTTP",
		PIDs:    []int{d.PID()}, Publisher: p,
		Stop: func() { stop(); d.Stop(); _ = os.RemoveAll(data) },
	}, nil
}
