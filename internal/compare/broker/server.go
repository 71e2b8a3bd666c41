package main

import (
	"context"
	"path/filepath"

	"github.com/sse-go/sse/internal/compare/drive"
)

// contender is a server to measure. Every measurement starts it anew.
type contender struct {
	key       string // that selects it
	name      string // in tables
	kind      kind
	topics    bool // it has more than one
	patterns  bool
	inProcess bool // it publishes by function calls
	batches   bool // it publishes many at once, for the scenario in which that matters
	coalesce  int  // events that it waits for before it writes; 0: it does not wait
	start     func(ctx context.Context, topics int) (*drive.Server, error)
	prepare   func(ctx context.Context) error // once; nil: there is nothing to do
	atHand    func() bool                     // asked if nobody has asked for it; nil: it is

	version string // known once it has run
}

// kind is the place of a contender among the others.
type kind int

const (
	bound kind = iota // no server can be cheaper
	base              // by hand, on net/http
	own
	peer
)

// startDriven starts a server that publishes by itself, as lines tell it.
func startDriven(ctx context.Context, name, path string, args ...string) (*drive.Server, error) {
	d, err := drive.StartDriven(ctx, name, path, args...)
	if err != nil {
		return nil, err
	}
	return d.Server(), nil
}

// open starts the server and its subscribers, up to the number of which more may
// be added later.
func (r *runner) open(ctx context.Context, c *contender, a drive.Audience, upTo int) (
	*drive.Session, error) {
	server, err := c.start(ctx, a.Topics)
	if err != nil {
		return nil, err
	}
	c.version = server.Version
	return drive.Open(ctx, server, filepath.Join(r.dir, "load"), a, upTo)
}
