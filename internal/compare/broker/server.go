package main

import (
	"context"
	"path/filepath"

	"github.com/sse-go/sse/internal/compare/drive"
)

// contender is a server to measure. Every measurement starts it again.
type contender struct {
	key       string // selects it on the command line
	name      string // in tables
	kind      kind
	topics    bool // it supports several topics
	patterns  bool // it supports patterns
	inProcess bool // it publishes by function calls
	batches   bool // it publishes batches, and is measured only where that matters
	coalesce  int  // events that it puts into one write; 0: it does not wait for more
	start     func(ctx context.Context, topics int) (*drive.Server, error)
	prepare   func(ctx context.Context) error // called once; may be nil
	available func() bool                     // nil: always; not called if the user selects it

	version string // set by the first measurement
}

// kind is the role of a contender in the comparison.
type kind int

const (
	bound kind = iota // minimal program
	base              // simple handler on net/http
	own               // server of this library
	peer              // server of another project
)

// startDriven starts a server that publishes the events itself, on command.
func startDriven(ctx context.Context, name, path string, args ...string) (*drive.Server, error) {
	d, err := drive.StartDriven(ctx, name, path, args...)
	if err != nil {
		return nil, err
	}
	return d.Server(), nil
}

// open starts the server and its subscribers. The session can have up to upTo
// subscribers in total.
func (r *runner) open(ctx context.Context, c *contender, a drive.Audience, upTo int) (
	*drive.Session, error) {
	server, err := c.start(ctx, a.Topics)
	if err != nil {
		return nil, err
	}
	c.version = server.Version
	return drive.Open(ctx, server, filepath.Join(r.dir, "load"), a, upTo)
}
