package behaviour

import (
	"context"
	"io"
	"log"
	"net/http"
	"strings"

	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
	"gopkg.in/cenkalti/backoff.v1"

	"github.com/sse-go/sse"
)

var discard = log.New(io.Discard, "", 0)

func sseClient(ctx context.Context, o clientOptions, onEvent func(got)) error {
	client := &sse.Client{
		URL:         o.url,
		Header:      o.header,
		LastEventID: o.lastEventID,
		RetryDelay:  o.delay,
	}
	if o.post {
		client.Method = http.MethodPost
		client.Body = []byte("order")
	}
	for event, err := range client.Events(ctx) {
		if err != nil {
			return err
		}
		onEvent(got{id: event.LastEventID, typ: event.Type, data: event.Data})
	}
	return nil
}

// request returns the request for the libraries that accept an *http.Request.
func request(ctx context.Context, o clientOptions) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
	if o.post {
		body := strings.NewReader("order") // net/http can send a *strings.Reader again
		r, err = http.NewRequestWithContext(ctx, http.MethodPost, o.url, body)
	}
	if err != nil {
		panic(err)
	}
	for name, values := range o.header {
		r.Header[name] = values
	}
	return r
}

// tmaxmaxClient sets the header Last-Event-ID of the request, because tmaxmax has no
// option for the last event ID (client_connection.go).
func tmaxmaxClient(ctx context.Context, o clientOptions, onEvent func(got)) error {
	r := request(ctx, o)
	if o.lastEventID != "" {
		r.Header.Set("Last-Event-ID", o.lastEventID)
	}
	client := &tmaxmax.Client{
		Backoff: tmaxmax.Backoff{InitialInterval: o.delay, Multiplier: 1},
	}
	conn := client.NewConnection(r)
	conn.SubscribeToAll(func(event tmaxmax.Event) {
		onEvent(got{id: event.LastEventID, typ: event.Type, data: event.Data})
	})
	return conn.Connect()
}

func r3labsClient(ctx context.Context, o clientOptions, onEvent func(got)) error {
	client := r3labs.NewClient(o.url)
	for name := range o.header {
		client.Headers[name] = o.header.Get(name)
	}
	if o.lastEventID != "" {
		client.LastEventID.Store([]byte(o.lastEventID))
	}
	client.ReconnectStrategy = backoff.NewConstantBackOff(o.delay)
	return client.SubscribeRawWithContext(ctx, func(event *r3labs.Event) {
		onEvent(got{string(event.ID), string(event.Event), string(event.Data), 0})
	})
}

func launchdarklyClient(ctx context.Context, o clientOptions, onEvent func(got)) error {
	options := []launchdarkly.StreamOption{
		launchdarkly.StreamOptionInitialRetry(o.delay),
		launchdarkly.StreamOptionLastEventID(o.lastEventID),
		launchdarkly.StreamOptionErrorHandler(func(error) (r launchdarkly.StreamErrorHandlerResult) {
			return r // the zero result: retry, as without a handler
		}),
	}
	if o.retryFirst {
		options = append(options, launchdarkly.StreamOptionCanRetryFirstConnection(maxWait))
	}
	stream, err := launchdarkly.SubscribeWithRequestAndOptions(request(ctx, o), options...)
	if err != nil {
		return err
	}
	// According to its documentation, Close ends the client and then closes Events.
	defer context.AfterFunc(ctx, stream.Close)()
	for event := range stream.Events {
		onEvent(got{typ: event.Event(), data: event.Data()})
	}
	return nil
}

// donovanhideClient ignores o.delay, because donovanhide has no option for the delay.
// The delay is 3 seconds until the server changes it with a retry field.
func donovanhideClient(ctx context.Context, o clientOptions, onEvent func(got)) error {
	// SubscribeWith modifies the http.Client that it receives.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	stream, err := donovanhide.SubscribeWith(o.lastEventID, client, request(ctx, o))
	if err != nil {
		return err
	}
	go func() {
		for range stream.Errors { // if no goroutine read Errors, the client would block
		}
	}()
	defer context.AfterFunc(ctx, stream.Close)()
	for event := range stream.Events {
		onEvent(got{id: event.Id(), typ: event.Event(), data: event.Data()})
	}
	return nil
}

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), perCase/2)
}
