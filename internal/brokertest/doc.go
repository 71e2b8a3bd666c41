// Package brokertest contains the fixtures that the tests of a [sse.Broker]
// share: a broker behind a server in fake time ([Fixture]), a broker on real
// sockets ([NewServer]), thousands of clients in another process ([Crowd]), a
// proxy that drops connections ([NewDroppingProxy]), and event logs that fail
// or count on request ([FakeLog], [WatchedLog]).
//
// Only tests import it: the tests of package sse, internal/property and
// internal/soak.
package brokertest
