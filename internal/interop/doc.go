// Package interop has only tests: other people's clients against our server,
// and our client against other people's servers.
//
// Chromium, Firefox and WebKit, and the npm packages eventsource,
// eventsource-client and @microsoft/fetch-event-source, read a scripted stream
// of [sse.Accept]. A [sse.Client] reads the same script from better-sse, from
// node:http and node:http2, and through nginx. What they receive is compared
// to the letter, and so is the Last-Event-ID of every request.
//
// The browsers and our client also read from an [sse.Broker] whose server is
// killed and started again on the same log, while events are published and
// connections break: each must get what the log has, once and in order.
//
// Pages in the browsers use the hub of "sse serve", by cookie and by ticket, on its
// own origin and on others that it allows; others neither publish nor read.
//
// The tests start and stop all that they need. Where something is not
// installed they say what, and are skipped; with CI=true in the environment
// they fail. To install everything and run them:
//
//	.ci/interop
//
// [sse.Broker]: https://pkg.go.dev/github.com/sse-go/sse#Broker
// [sse.Accept]: https://pkg.go.dev/github.com/sse-go/sse#Accept
// [sse.Client]: https://pkg.go.dev/github.com/sse-go/sse#Client
package interop
