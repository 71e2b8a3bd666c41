package sse_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

// What publishing costs in the process: nobody has subscribed, or one has.
func BenchmarkPublish(b *testing.B) {
	event := sse.Event{Data: strings.Repeat("x", 100)}
	b.Run("nobody", func(b *testing.B) {
		var broker sse.Broker
		b.ReportAllocs()
		for b.Loop() {
			if _, err := broker.Publish(context.Background(), event, "news"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("called", func(b *testing.B) {
		var broker sse.Broker
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		ready := make(chan struct{})
		broker.OnConnect = func(sse.Subscriber) { close(ready) }
		go func() {
			defer close(done)
			sel := sse.Selection{Topics: []string{"news"}, MaxLag: -1, MaxLagBytes: -1}
			for range broker.Subscribe(ctx, sel, sse.Start{}) {
			}
		}()
		<-ready
		b.ReportAllocs()
		for b.Loop() {
			if _, err := broker.Publish(context.Background(), event, "news"); err != nil {
				b.Fatal(err)
			}
		}
		cancel()
		<-done
	})
}
