package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sse-go/sse/internal/compare/drive"
	"github.com/sse-go/sse/internal/compare/floor"
)

// find sets r.contenders to the contenders with the given keys. If there are no keys,
// it selects all available contenders. It also prepares them, for example builds
// them.
func (r *runner) find(ctx context.Context, keys []string) error {
	served, err := exec.CommandContext(ctx, filepath.Join(r.dir, "serve"), "list").Output()
	if err != nil {
		return fmt.Errorf("serve list: %w", err)
	}
	all := slices.Concat(r.floors(), r.served(strings.Fields(string(served))), r.daemons())
	slices.SortStableFunc(all, func(a, b *contender) int { return int(a.kind) - int(b.kind) })
	for _, key := range keys {
		if !slices.ContainsFunc(all, func(c *contender) bool { return c.key == key }) {
			return fmt.Errorf("-servers: there is no server %q", key)
		}
	}
	for _, c := range all {
		if slices.Contains(keys, c.key) || len(keys) == 0 && (c.available == nil || c.available()) {
			r.contenders = append(r.contenders, c)
		}
	}
	for _, c := range r.contenders {
		if c.prepare != nil {
			if err := c.prepare(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// floors returns two contenders, both the C program that only writes. The first
// writes one event with each system call, the second several events.
func (r *runner) floors() []*contender {
	path := filepath.Join(r.dir, "floor")
	start := func(coalesce int) func(context.Context, int) (*drive.Server, error) {
		return func(ctx context.Context, _ int) (*drive.Server, error) {
			s, err := startDriven(ctx, "floor", path, strconv.Itoa(coalesce))
			if err == nil {
				s.Version = floor.Version()
			}
			return s, err
		}
	}
	prepare := func(context.Context) error {
		_, err := floor.Build(r.dir)
		return err
	}
	outstanding := r.plan.outstanding
	return []*contender{
		{key: "floor", name: "C program", kind: lowerBound, start: start(1), prepare: prepare},
		{
			key: "floor", name: fmt.Sprintf("C program, %d events in a write", outstanding),
			kind: lowerBound, coalesce: outstanding, start: start(outstanding),
		},
	}
}

// served returns the servers of the program serve with the given names. The names of
// the servers of this library begin with "sse-".
func (r *runner) served(names []string) []*contender {
	var all []*contender
	for _, name := range names {
		c := &contender{key: name, name: name, kind: peer, topics: true, inProcess: true}
		if option, ok := strings.CutPrefix(name, "sse-"); ok {
			c.kind, c.patterns, c.name = own, true, "sse, "+option
		}
		if name == "sse-publishall" {
			c.batches, c.name = true, "sse, parked, Append"
		}
		if name == "plain" {
			c.kind, c.name = base, "plain net/http"
		}
		c.start = func(ctx context.Context, topics int) (*drive.Server, error) {
			return startDriven(ctx, name, filepath.Join(r.dir, "serve"), name, strconv.Itoa(topics))
		}
		all = append(all, c)
	}
	return all
}

// daemons returns the servers that are programs, not libraries.
func (r *runner) daemons() []*contender {
	return []*contender{
		{
			key: "hub", name: "the hub", kind: own, topics: true, patterns: true,
			prepare: func(ctx context.Context) error { return drive.BuildHub(ctx, r.dir) },
			start:   func(ctx context.Context, _ int) (*drive.Server, error) { return startHub(ctx, r.dir) },
		},
		{
			key: "nchan", name: "Nchan", kind: peer, topics: true,
			start: func(ctx context.Context, _ int) (*drive.Server, error) { return startNchan(ctx, r.dir) },
		},
		{
			key: "centrifugo", name: "Centrifugo, uni_sse", kind: peer, topics: true,
			prepare: buildCentrifugo,
			// The first build takes minutes, and that is too long for a smoke test.
			available: func() bool { return !r.plan.quick || centrifugoBuilt() },
			start: func(ctx context.Context, _ int) (*drive.Server, error) {
				return startCentrifugo(ctx, r.dir)
			},
		},
	}
}
