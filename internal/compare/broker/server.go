package main

import (
	"context"
	"path/filepath"

	"github.com/sse-go/sse/internal/compare/drive"
)

// contender is a server to measure. Every measurement starts it again.
type contender struct {
	key       string // selects the contender on the command line
	name      string // name in tables
	kind      kind
	topics    bool // the server supports several topics
	patterns  bool // the server supports patterns
	inProcess bool // events are published by function calls in the server's process
	batches   bool // several events are published at once; measured only where that matters
	coalesce  int  // number of events that the server puts into one write; 0: it does not wait
	start     func(ctx context.Context, topics int) (*drive.Server, error)
	prepare   func(ctx context.Context) error // called once; may be nil
	available func() bool                     // nil: always; ignored if -servers has the key

	version string // set by the first measurement
}

// kind is the role of a contender in the comparison.
type kind int

const (
	lowerBound kind = iota // a minimal program, as a lower bound
	base                   // a simple handler on net/http
	own                    // a server of this library
	peer                   // a server of another project
)

// startDriven starts a server that reads commands and publishes the events itself.
func startDriven(ctx context.Context, name, path string, args ...string) (*drive.Server, error) {
	d, err := drive.StartDriven(ctx, name, path, args...)
	if err != nil {
		return nil, err
	}
	return d.Server(), nil
}

// open starts the server and its subscribers. Later, the session can have up to upTo
// subscribers.
func (r *runner) open(ctx context.Context, c *contender, a drive.Audience, upTo int) (
	*drive.Session, error) {
	server, err := c.start(ctx, a.Topics)
	if err != nil {
		return nil, err
	}
	c.version = server.Version
	return drive.Open(ctx, server, filepath.Join(r.dir, "load"), a, upTo)
}
