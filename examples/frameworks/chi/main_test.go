package main

import (
	"net"
	"net/http"
	"testing"

	"github.com/sse-go/sse/examples/frameworks/internal/story"
)

func TestQuickstart(t *testing.T) {
	story.Test(t, func(l net.Listener) error { return http.Serve(l, handler()) })
}
