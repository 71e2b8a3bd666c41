package sse_test

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
)

// Issue 5, acceptance 6: descriptors are used again at once, and what is meant for
// one connection never reaches another.
func TestDescriptorReuse(t *testing.T) {
	rounds, workers := 10_000, 16
	switch {
	case soak:
		rounds = 1_000_000
	case testing.Short():
		rounds = 1000
	}
	onSockets(t, func(t *testing.T, park bool) {
		rounds := rounds
		if !park {
			rounds /= 10 // there net/http sees to it
		}
		broker := &sse.Broker{Park: park}
		addr := newSocketServer(t, broker, broker)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < rounds && !t.Failed(); i += workers {
					if err := comeAndGo(t, broker, addr, fmt.Sprint("topic-", i)); err != nil {
						t.Errorf("round %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// comeAndGo is a connection with a topic of its own, on which the data is the
// topic.
func comeAndGo(t *testing.T, broker *sse.Broker, addr, topic string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A reset leaves nothing behind that would use up the ports.
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	fmt.Fprintf(conn, "GET /?topic=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", topic)
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		return fmt.Errorf("answer %q, %w", line, err)
	}
	publish := func() error {
		_, err := broker.Publish(t.Context(), sse.Event{Data: topic}, topic)
		return err
	}
	switch rand.N(5) {
	case 0, 1: // it reads, and leaves after all was sent
		for range 2 {
			if err := publish(); err != nil {
				return err
			}
			if err := onlyOwn(r, topic, 1); err != nil {
				return err
			}
		}
		return nil
	case 2: // it leaves while something is sent
		if err := publish(); err != nil {
			return err
		}
		_ = conn.Close()
		return publish()
	case 3: // it is kicked
		for _, s := range broker.Subscribers() {
			if len(s.Topics) == 1 && s.Topics[0] == topic {
				broker.Kick(s.ID)
				err := publish()
				if readErr := onlyOwn(r, topic, 2); err == nil && readErr != io.EOF {
					err = readErr
				}
				return err
			}
		}
		return nil // it has not begun yet
	default: // it leaves before something is sent
		_ = conn.Close()
		return publish()
	}
}

// onlyOwn reads until there were n events, all of which must be those of a topic.
func onlyOwn(r *bufio.Reader, topic string, n int) error {
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
			return fmt.Errorf("the connection of %s was sent %q", topic, data)
		}
		n--
	}
	return nil
}
