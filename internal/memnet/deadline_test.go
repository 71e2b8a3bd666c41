package memnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/memnet"
)

// longAgo is the deadline that net/http sets to abort a blocked call.
var longAgo = time.Unix(1, 0)

// blocking lists calls that block until a deadline. The function set sets this
// deadline. The function prepare, if not nil, fills the buffer before the call.
var blocking = map[string]struct {
	prepare func(c *memnet.Conn)
	call    func(net.Conn) func() error
	set     func(*memnet.Conn, time.Time) error
}{
	"Read by SetReadDeadline": {
		call: read, set: (*memnet.Conn).SetReadDeadline,
	},
	"Read by SetDeadline": {
		call: read, set: (*memnet.Conn).SetDeadline,
	},
	"Write by SetWriteDeadline": {
		prepare: fill, call: write, set: (*memnet.Conn).SetWriteDeadline,
	},
	"Write by SetDeadline": {
		prepare: fill, call: write, set: (*memnet.Conn).SetDeadline,
	},
	"queued Write by SetWriteDeadline": {
		prepare: func(c *memnet.Conn) {
			fill(c)
			go write(c)()
			synctest.Wait()
		},
		call: write, set: (*memnet.Conn).SetWriteDeadline,
	},
}

func fill(c *memnet.Conn) { _ = write(c)() }

// eachBlocking runs a subtest in a bubble for each entry of blocking. The buffers
// of its connection have 1 byte.
func eachBlocking(t *testing.T, test func(t *testing.T, call func() error,
	set func(time.Time))) {
	for name, b := range blocking {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := pipe(t, 1)
				if b.prepare != nil {
					b.prepare(c)
				}
				test(t, b.call(c), func(at time.Time) {
					t.Helper()
					if err := b.set(c, at); err != nil {
						t.Errorf("setting a deadline: %v", err)
					}
				})
			})
		})
	}
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	wantError(t, "after the deadline", err, os.ErrDeadlineExceeded)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got error %v, want a net.Error with Timeout() == true", err)
	}
}

func TestDeadlineInTheFuture(t *testing.T) {
	eachBlocking(t, func(t *testing.T, call func() error, set func(time.Time)) {
		start := time.Now()
		set(start.Add(3 * time.Second))
		wantTimeout(t, call())
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("the call failed after %v, want 3s", got)
		}
		wantTimeout(t, call()) // later calls fail, too
	})
}

func TestDeadlineInThePast(t *testing.T) {
	eachBlocking(t, func(t *testing.T, call func() error, set func(time.Time)) {
		set(longAgo)
		wantTimeout(t, call())
	})
}

func TestDeadlineEndsWaitingCall(t *testing.T) {
	eachBlocking(t, func(t *testing.T, call func() error, set func(time.Time)) {
		waiting := inBackground(call)
		wantBlocked(t, waiting)
		start := time.Now()
		set(longAgo)
		wantTimeout(t, <-waiting)
		if got := time.Since(start); got != 0 {
			t.Errorf("the call failed after %v, want 0s", got)
		}
	})
}

func TestDeadlineMoves(t *testing.T) {
	eachBlocking(t, func(t *testing.T, call func() error, set func(time.Time)) {
		start := time.Now()
		set(start.Add(time.Second))
		waiting := inBackground(call)
		wantBlocked(t, waiting)
		set(start.Add(time.Minute))
		wantTimeout(t, <-waiting)
		if got := time.Since(start); got != time.Minute {
			t.Errorf("the call failed after %v, want 1m", got)
		}
	})
}

func TestDeadlineIsCleared(t *testing.T) {
	eachBlocking(t, func(t *testing.T, call func() error, set func(time.Time)) {
		set(longAgo)
		wantTimeout(t, call())
		set(time.Time{})
		waiting := inBackground(call)
		wantBlocked(t, waiting)
		<-time.After(time.Hour) // in the bubble, takes no real time
		wantBlocked(t, waiting)
	})
}

// After a deadline in the past, even a Read or a Write that need not wait fails,
// and moves no bytes.
func TestPastDeadlineFailsCallsThatNeedNotWait(t *testing.T) {
	a, b := pipe(t, 0)
	if _, err := io.WriteString(a, "x"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.SetDeadline(longAgo), b.SetDeadline(longAgo)); err != nil {
		t.Fatal(err)
	}
	wantTimeout(t, read(b)())
	wantTimeout(t, write(a)())
	if err := b.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2)
	if n, err := b.Read(got); n != 1 || err != nil {
		t.Errorf("Read without a deadline: got %d bytes, error %v; want 1 byte", n, err)
	}
}

func TestDeadlineAffectsOneDirection(t *testing.T) {
	a, b := pipe(t, 0)
	if err := a.SetReadDeadline(longAgo); err != nil {
		t.Fatal(err)
	}
	if err := write(a)(); err != nil {
		t.Errorf("Write after the read deadline: %v", err)
	}
	if err := b.SetWriteDeadline(longAgo); err != nil {
		t.Fatal(err)
	}
	if err := read(b)(); err != nil {
		t.Errorf("Read of the peer after its write deadline: %v", err)
	}
}

func TestWriteReturnsBytesBeforeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipe(t, 5)
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := a.Write(make([]byte, 8))
		wantTimeout(t, err)
		if n != 5 {
			t.Errorf("Write returned %d, want the 5 bytes that fit", n)
		}
	})
}

// All methods run at the same time, so that the race detector can find a data race.
func TestConcurrentMethods(t *testing.T) {
	a, b := pipe(t, 16)
	var wg sync.WaitGroup
	for _, c := range []*memnet.Conn{a, b} {
		for range 50 {
			wg.Go(func() { _, _ = c.Read(make([]byte, 32)) })
			wg.Go(func() { _, _ = c.Write(make([]byte, 32)) })
			wg.Go(func() { _ = c.SetDeadline(time.Now().Add(10 * time.Millisecond)) })
			wg.Go(func() { _ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) })
			wg.Go(func() { _ = c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) })
			wg.Go(c.BlackHole)
			wg.Go(c.Heal)
			wg.Go(func() { _, _ = c.BytesRead(), c.BytesWritten() })
		}
	}
	wg.Wait()
}
