package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/leakcheck"
	"github.com/sse-go/sse/internal/memnet"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

func dial(t *testing.T, l *memnet.Listener) *memnet.Conn {
	t.Helper()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func accept(t *testing.T, l *memnet.Listener) *memnet.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*memnet.Conn)
}

func TestDialDoesNotWaitForAccept(t *testing.T) {
	l := memnet.Listen(0)
	defer l.Close()
	client := dial(t, l)
	if _, err := io.WriteString(client, "early"); err != nil {
		t.Fatal(err)
	}
	server := accept(t, l)
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "early" {
		t.Errorf("the accepted end read %q, error %v; want \"early\"", got, err)
	}
	if client.LocalAddr().String() != server.RemoteAddr().String() ||
		server.LocalAddr().String() != client.RemoteAddr().String() {
		t.Error("the addresses of the two ends do not match")
	}
	if _, err := netip.ParseAddrPort(server.RemoteAddr().String()); err != nil {
		t.Errorf("the address cannot be parsed: %v", err)
	}
	if other := dial(t, l); other.LocalAddr().String() == client.LocalAddr().String() {
		t.Errorf("got address %v for two clients, want different ones", other.LocalAddr())
	}
}

func TestListenerRefusesAndAcceptsAgain(t *testing.T) {
	l := memnet.Listen(0)
	defer l.Close()
	l.Refuse(true)
	_, err := l.Dial(t.Context())
	wantError(t, "Dial during Refuse", err, syscall.ECONNREFUSED)
	l.Refuse(false)
	dial(t, l)
}

func TestListenerCloseEndsAcceptAndResetsBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		accepted, waiting := dial(t, l), dial(t, l)
		accept(t, l)
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if err := write(accepted)(); err != nil {
			t.Errorf("Write to an accepted connection: %v", err)
		}
		wantError(t, "a connection in the backlog", read(waiting)(), syscall.ECONNRESET)
		_, err := l.Accept()
		wantError(t, "Accept after Close", err, net.ErrClosed)
		_, err = l.Dial(t.Context())
		wantError(t, "Dial after Close", err, syscall.ECONNREFUSED)
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestListenerCloseUnblocksAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		accepting := inBackground(func() error { _, err := l.Accept(); return err })
		wantBlocked(t, accepting)
		_ = l.Close()
		wantError(t, "Accept", <-accepting, net.ErrClosed)
	})
}

func TestDialBlocksWhileBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		var err error
		for err == nil {
			var c *memnet.Conn
			if c, err = l.Dial(ctx); err == nil {
				defer c.Close()
			}
		}
		wantError(t, "Dial", err, context.DeadlineExceeded)
		if got := time.Since(start); got != time.Second {
			t.Errorf("Dial failed after %v, want 1s", got)
		}
		if d, a := l.OpenConns(); d != a {
			t.Errorf("got %d dialed and %d accepted open ends, want equal numbers", d, a)
		}

		waiting := inBackground(func() error { _, err := l.Dial(t.Context()); return err })
		wantBlocked(t, waiting)
		_ = l.Close()
		wantError(t, "waiting Dial, after Close", <-waiting, syscall.ECONNREFUSED)

		_, err = l.Dial(ctx)
		wantError(t, "Dial with a context that is done", err, context.DeadlineExceeded)
	})
}

func TestListenerCountsOpenConns(t *testing.T) {
	l := memnet.Listen(0)
	defer l.Close()
	want := func(when string, dialed, accepted int) {
		t.Helper()
		if d, a := l.OpenConns(); d != dialed || a != accepted {
			t.Errorf("%s: got %d dialed and %d accepted open ends, want %d and %d",
				when, d, a, dialed, accepted)
		}
	}
	want("at first", 0, 0)
	client := dial(t, l)
	server := accept(t, l)
	want("after Dial and Accept", 1, 1)
	_ = client.Close()
	want("after the client's Close", 0, 1)
	server.Cut()
	want("after Cut", 0, 1)
	_ = server.Close()
	_ = server.Close()
	want("after both Closes", 0, 0)
}

func TestListenerAffectsAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		defer l.Close()
		first, second := dial(t, l), dial(t, l)
		accept(t, l)

		l.BlackHoleAll()
		reading := []<-chan error{inBackground(read(first)), inBackground(read(second))}
		_ = write(accept(t, l))()
		wantBlocked(t, reading[0])
		wantBlocked(t, reading[1])
		l.HealAll()
		if err := <-reading[1]; err != nil {
			t.Errorf("after HealAll: %v", err)
		}
		l.CutAll()
		wantError(t, "after CutAll", <-reading[0], syscall.ECONNRESET)
		wantError(t, "after CutAll", write(second)(), syscall.ECONNRESET)

		if err := write(dial(t, l))(); err != nil {
			t.Errorf("Write to a later connection: %v", err)
		}
	})
}

// Calls of Dial, Accept and Close that race in real time leave no connection open.
func TestListenerCloseRacesWithDial(t *testing.T) {
	for range 100 {
		l := memnet.Listen(0)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if c, err := l.Dial(t.Context()); err == nil {
					_ = c.Close()
				} else if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("Dial: %v", err)
				}
			})
		}
		wg.Go(func() {
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
			}
		})
		wg.Go(func() { _ = l.Close() })
		wg.Wait()
		if d, a := l.OpenConns(); d != 0 || a != 0 {
			t.Fatalf("got %d dialed and %d accepted open ends, want 0", d, a)
		}
	}
}
