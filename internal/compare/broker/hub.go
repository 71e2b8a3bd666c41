package main

import (
	"context"
	"net/http"
	"os"

	"github.com/sse-go/sse/internal/compare/drive"
)

// startHub starts "sse serve" with default settings, except for its address and its
// data directory, which is a new directory in dir. Events are published over HTTP.
func startHub(ctx context.Context, dir string) (*drive.Server, error) {
	data, err := os.MkdirTemp(dir, "hub")
	if err != nil {
		return nil, err
	}
	server, err := drive.StartHub(ctx, dir, "--data", data)
	if err != nil {
		return nil, err
	}
	server.Version = "this tree, sse serve with default settings, publishing over HTTP"
	p, stop := drive.StartPosts(ctx, http.Header{"Content-Type": {"text/plain"}},
		drive.PublishTo(server.Addr))
	server.Publisher = p
	end := server.Stop
	server.Stop = func() { stop(); end(); _ = os.RemoveAll(data) }
	return server, nil
}
