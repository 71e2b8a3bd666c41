package drive

import (
	"context"
	"path/filepath"
)

// StartHub starts the command "sse serve", which [BuildHub] has compiled into the
// directory bin, on a free port, and waits until it listens. args are further
// arguments. The server has no Publisher.
func StartHub(ctx context.Context, bin string, args ...string) (*Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	d, err := StartDaemon(ctx, "sse serve", filepath.Join(bin, "sse"),
		append([]string{"serve", "--addr", addr}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := d.AwaitListening(addr); err != nil {
		d.Stop()
		return nil, err
	}
	return &Server{
		Addr: addr, Path: "/{topic}", Pattern: "/-/events?pattern={topic}", Body: true,
		Version: "this tree", PIDs: []int{d.PID()}, Stop: d.Stop,
	}, nil
}

// PublishTo returns the request that publishes data on a topic of the hub at addr. It
// is an argument of [StartPosts].
func PublishTo(addr string) func(topic string, data []byte) (url string, body []byte) {
	return func(topic string, data []byte) (string, []byte) {
		return "http://" + addr + "/" + topic, data
	}
}
