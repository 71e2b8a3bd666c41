// Package interop contains only tests. They connect clients of other projects
// to our server, and our client to servers of other projects.
//
// A script is a list of steps of a server. The steps send events and break connections.
// Chromium, Firefox, WebKit, and the npm packages eventsource, eventsource-client and
// @microsoft/fetch-event-source read a script that a server executes with [sse.Accept].
// A [sse.Client] reads the same script from better-sse, from node:http and node:http2,
// and through nginx. The tests compare the received events byte for byte, and the
// Last-Event-ID of every request.
//
// Behind nginx, HAProxy, Varnish, Apache, Squid and Caddy, a server ends streams in
// all possible ways. POST requests follow each end at once. None of them may fail,
// although the proxies reuse connections.
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
// installed, its tests are skipped with a message. If the environment has CI=true,
// they fail instead. This command installs the programs and runs the tests:
//
//	.ci/interop
//
// [sse.Broker]: https://pkg.go.dev/github.com/sse-go/sse#Broker
// [sse.Accept]: https://pkg.go.dev/github.com/sse-go/sse#Accept
// [sse.Client]: https://pkg.go.dev/github.com/sse-go/sse#Client
package interop
