package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// tracer is a trace.TracerProvider. Each span sends a value to ended when the span ends.
type tracer struct {
	noop.TracerProvider
	ended chan struct{}
}

type spanMaker struct {
	noop.Tracer
	ended chan struct{}
}

type span struct {
	noop.Span
	ended chan struct{}
}

func (t *tracer) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return &spanMaker{ended: t.ended}
}

func (m *spanMaker) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (
	context.Context, trace.Span) {
	s := &span{ended: m.ended}
	return trace.ContextWithSpan(ctx, s), s
}

func (s *span) End(...trace.SpanEndOption) { s.ended <- struct{}{} }

// A broker with Park set holds a stream inside otelhttp, because otelhttp wraps the
// ResponseWriter. So the span of otelhttp lasts as long as the stream. (The handler of a
// parked stream returns at once, and the span would end.)
func TestParkInsideOtelhttp(t *testing.T) {
	connected := make(chan sse.Subscriber, 1)
	broker := &sse.Broker{Park: true, OnConnect: func(s sse.Subscriber) { connected <- s }}
	spans := &tracer{ended: make(chan struct{}, 2)}
	server := httptest.NewServer(otelhttp.NewHandler(broker, "events",
		otelhttp.WithTracerProvider(spans)))
	defer server.Close()
	defer broker.Shutdown(context.Background())

	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s := <-connected
	if s.Wait != "held" || !strings.HasPrefix(s.Why, "the response is wrapped by ") {
		t.Errorf("the stream is %s: %q", s.Wait, s.Why)
	}
	if _, err := broker.Publish(t.Context(), sse.Event{Data: "hello"}); err != nil {
		t.Fatal(err)
	}
	for event, err := range sse.NewDecoder(resp.Body, nil).Events() {
		if err != nil {
			t.Fatal(err)
		}
		if event.Data == "hello" {
			break
		}
	}
	select {
	case <-spans.ended:
		t.Error("the span has ended before the stream")
	default:
	}
	_ = resp.Body.Close()
	<-spans.ended
}
