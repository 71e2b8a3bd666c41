//go:build !linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

type crowd struct{}

func connect(context.Context, string, int) (*crowd, error) {
	return nil, errors.New("this program needs Linux, because it uses epoll")
}

func (*crowd) close() {}

func (*crowd) publish([]byte, *answers, time.Duration) (control.Histogram, error) {
	return control.Histogram{}, errors.New("this program needs Linux, because it uses epoll")
}
