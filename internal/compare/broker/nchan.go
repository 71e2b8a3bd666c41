package main

import (
	"context"
	"net/http"

	"github.com/sse-go/sse/internal/compare/drive"
)

func startNchan(ctx context.Context, dir string) (*drive.Server, error) {
	n, err := drive.StartNchan(ctx, dir)
	if err != nil {
		return nil, err
	}
	p, stop := drive.StartPosts(ctx, http.Header{"Content-Type": {"text/plain"}},
		func(topic string, data []byte) (string, []byte) {
			return "http://" + n.Addr + "/publish?topic=" + topic, data
		})
	return &drive.Server{
		Addr: n.Addr, Path: "/subscribe?topic={topic}", Body: true, Version: n.Version,
		PIDs: []int{n.Worker}, Publisher: p,
		Stop: func() { stop(); n.Stop() },
	}, nil
}
