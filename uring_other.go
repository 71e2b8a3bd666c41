//go:build linux && !(amd64 || arm64)

package sse

import "errors"

type uring struct{}

// newURing fails: sockets are written to one by one.
func newURing(int) (*uring, error) { return nil, errors.ErrUnsupported }

func (*uring) send([]*output) bool { return false }

func (*uring) close() {}
