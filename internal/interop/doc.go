// Package interop contains only tests. They connect clients of other projects
// to our server, and our client to servers of other projects.
//
// Chromium, Firefox, WebKit, and the npm packages eventsource,
// eventsource-client and @microsoft/fetch-event-source read a scripted stream
// of [sse.Accept]. A [sse.Client] reads the same script from better-sse, from
// node:http and node:http2, and through nginx. The tests compare the received
// events byte for byte, and the Last-Event-ID of every request.
//
// Behind nginx, HAProxy, Varnish, Apache, Squid and Caddy, a server ends streams in
// each of the ways in which it can, and POSTs follow at once. None of them may fail.
//
// The browsers and our client also read from an [sse.Broker]. Its server is
// killed and started again on the same log while events are published and
// connections break. Each client must receive the events of the log exactly
// once and in order.
//
// Pages in the browsers use the hub of "sse serve" with cookies and tickets,
// from the hub's own origin and from other origins that the hub allows. Pages
// of other origins must not be able to publish or to read.
//
// The tests start and stop the programs that they need. If a program is not
// installed, its tests are skipped with a message; if the environment has
// CI=true, they fail. This command installs the programs and runs the tests:
//
//	.ci/interop
//
// [sse.Broker]: https://pkg.go.dev/github.com/sse-go/sse#Broker
// [sse.Accept]: https://pkg.go.dev/github.com/sse-go/sse#Accept
// [sse.Client]: https://pkg.go.dev/github.com/sse-go/sse#Client
package interop
