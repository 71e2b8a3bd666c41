package soak_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/testrand"
)

// When a connection is closed, the system gives its descriptor to the next one at
// once. Nevertheless, bytes for a connection must never reach another connection.
func TestDescriptorReuse(t *testing.T) {
	rounds, workers := 10_000, 16
	switch {
	case brokertest.Soak:
		rounds = 1_000_000
	case testing.Short():
		rounds = 1000
	}
	brokertest.OnSockets(t, func(t *testing.T, park bool) {
		rounds := rounds
		if !park {
			rounds /= 10 // net/http owns the descriptors of held streams
		}
		broker := &sse.Broker{Park: park}
		addr := brokertest.NewServer(t, broker, broker)
		rng := testrand.New(t)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < rounds && !t.Failed(); i += workers {
					if err := connectOnce(t, rng, broker, addr, fmt.Sprint("topic-", i)); err != nil {
						t.Errorf("round %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// connectOnce opens a connection for a topic that no other connection uses, and
// ends it in a random way. The data of each event is its topic.
func connectOnce(t *testing.T, rng *rand.Rand, broker *sse.Broker, addr, topic string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Close with a reset. After a FIN, the connection would occupy its port in the
	// state TIME_WAIT, and the test would run out of ports.
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	fmt.Fprintf(conn, "GET /?topic=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", topic)
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		return fmt.Errorf("status line %q, %w", line, err)
	}
	publish := func() error {
		_, err := broker.Publish(t.Context(), sse.Event{Data: topic}, topic)
		return err
	}
	switch rng.IntN(5) {
	case 0, 1: // the client reads all events before it leaves
		for range 2 {
			if err := publish(); err != nil {
				return err
			}
			if err := readOwn(r, topic, 1); err != nil {
				return err
			}
		}
		return nil
	case 2: // the client leaves while an event is being sent
		if err := publish(); err != nil {
			return err
		}
		_ = conn.Close()
		return publish()
	case 3: // the client is kicked
		if broker.Kick(func(s sse.Subscriber) bool { return s.Topics[0] == topic }) == 0 {
			return nil // the stream has not begun yet
		}
		err := publish()
		if readErr := readOwn(r, topic, 2); err == nil && readErr != io.EOF {
			err = readErr
		}
		return err
	default: // the client leaves before an event is sent
		_ = conn.Close()
		return publish()
	}
}

// readOwn reads n events and checks that all of them have the topic as their
// data.
func readOwn(r *bufio.Reader, topic string, n int) error {
	for n > 0 {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok || data == "" {
			continue
		}
		if data != topic {
			return fmt.Errorf("the connection for %s received %q", topic, data)
		}
		n--
	}
	return nil
}
