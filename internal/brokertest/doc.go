// Package brokertest contains the fixtures that the tests of a [sse.Broker]
// share: a broker behind a server in fake time ([Fixture]), a broker on real
// sockets ([NewServer]), thousands of clients in another process ([Crowd]), a
// proxy that drops connections ([NewDroppingProxy]), an event log that fails and
// loses events on request ([FakeLog]), and an event log that counts its reads
// ([WatchedLog]).
//
// A stream waits for its next event in one of two ways. A held stream has a
// goroutine, the goroutine of its handler. A parked stream has no goroutine: the
// broker writes to its connection directly. Most tests run with both.
//
// Only tests import this package.
package brokertest
