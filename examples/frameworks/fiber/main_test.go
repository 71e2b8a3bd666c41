package main

import (
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"

	"github.com/sse-go/sse/examples/frameworks/internal/story"
)

func TestQuickstart(t *testing.T) {
	story.Test(t, func(l net.Listener) error {
		return app().Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
	})
}
