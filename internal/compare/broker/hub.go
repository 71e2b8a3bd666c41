package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sse-go/sse/internal/compare/drive"
)

// commandDir is where the command is, seen from this module. It is no part of it:
// what it requires would decide about the versions of the other libraries.
const commandDir = "../../cmd/sse"

// buildHub builds the command sse as its users do, but from this tree.
func (r *runner) buildHub(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(r.dir, "sse"), ".")
	cmd.Dir = commandDir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GOWORK=") // its workspace has the library
	})
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the hub: %w (run from internal/compare)\n%s", err, output)
	}
	return nil
}

// startHub starts "sse serve" as it is without settings, but for its address and
// for the directory with its events, which is new. It is published to by HTTP.
func startHub(ctx context.Context, dir string) (*drive.Server, error) {
	data, err := os.MkdirTemp(dir, "hub")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, "hub", filepath.Join(dir, "sse"), "serve",
		"--addr", addr, "--data", data)
	if err != nil {
		return nil, err
	}
	if err := d.awaitListening(addr); err != nil {
		d.stop()
		return nil, err
	}
	p, stop := startPosts(ctx, http.Header{"Content-Type": {"text/plain"}},
		func(topic string, data []byte) (string, []byte) { return "http://" + addr + "/" + topic, data })
	return &drive.Server{
		Addr: addr, Path: "/{topic}", Pattern: "/-/events?pattern={topic}", Body: true,
		Version: "this tree, sse serve without settings, published to by HTTP",
		PIDs:    []int{d.pid}, Publisher: p,
		Stop: func() { stop(); d.stop(); _ = os.RemoveAll(data) },
	}, nil
}
