package memnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sse-go/sse/internal/memnet"
)

// pipe returns a connection whose ends are closed at the end of the test.
func pipe(t *testing.T, size int) (a, b *memnet.Conn) {
	t.Helper()
	a, b = memnet.Pipe(size)
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

// inBackground runs a blocking call in a goroutine and returns a channel for
// its error.
func inBackground(call func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	return result
}

func read(c net.Conn) func() error {
	return func() error { _, err := c.Read(make([]byte, 1)); return err }
}

func write(c net.Conn) func() error {
	return func() error { _, err := c.Write(make([]byte, 1)); return err }
}

// wantBlocked waits until all goroutines of the bubble are blocked. It fails the
// test if the call behind result has returned.
func wantBlocked(t *testing.T, result <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		t.Fatalf("the call returned error %v, want it to block", err)
	default:
	}
}

// wantError fails the test if err is not a *net.OpError that wraps target.
func wantError(t *testing.T, what string, err, target error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, target) || !errors.As(err, &op) {
		t.Errorf("%s: got error %v, want a *net.OpError that wraps %v", what, err, target)
	}
}

func TestConnCarriesBytesInOrder(t *testing.T) {
	for _, size := range []int{1, 7, 4096, 0} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe(t, size)
			want := bytes.Repeat([]byte("0123456789abcdef\n"), 2_000)
			wrote := inBackground(func() error {
				_, err := a.Write(want)
				return errors.Join(err, a.Close())
			})
			got, err := io.ReadAll(b)
			if err != nil {
				t.Errorf("reading to the end: %v", err)
			}
			if err := <-wrote; err != nil {
				t.Errorf("writing: %v", err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("size %d: got %d bytes, which differ from the %d written bytes",
					size, len(got), len(want))
			}
			if a.BytesWritten() != int64(len(want)) || b.BytesRead() != int64(len(want)) {
				t.Errorf("got BytesWritten %d and BytesRead %d, want %d",
					a.BytesWritten(), b.BytesRead(), len(want))
			}
			if a.BytesRead() != 0 || b.BytesWritten() != 0 {
				t.Error("got bytes counted in the unused direction, want none")
			}
		})
	}
}

func TestWriteFillsBufferThenBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 8)
		wrote := inBackground(func() error { _, err := a.Write(make([]byte, 10)); return err })
		wantBlocked(t, wrote)
		if got := a.BytesWritten(); got != 8 {
			t.Errorf("got %d bytes accepted without a reader, want 8", got)
		}
		if n, err := io.ReadFull(b, make([]byte, 2)); err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		if err := <-wrote; err != nil {
			t.Errorf("Write after a Read: %v", err)
		}
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, size = 20, 100
		a, b := pipe(t, 7)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				if _, err := a.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		for range writers {
			block := make([]byte, size)
			if _, err := io.ReadFull(b, block); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(block, block[:1]); n != size {
				t.Fatalf("got %q, want a block of %d equal bytes", block, size)
			}
		}
		wg.Wait()
	})
}

func TestPeerReadsRestAfterClose(t *testing.T) {
	for name, end := range map[string]func(*memnet.Conn) error{
		"Close":      (*memnet.Conn).Close,
		"CloseWrite": (*memnet.Conn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pipe(t, 0)
			if _, err := io.WriteString(a, "rest"); err != nil {
				t.Fatal(err)
			}
			if err := end(a); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(b)
			if string(got) != "rest" || err != nil {
				t.Errorf("the peer read %q, error %v; want \"rest\", no error", got, err)
			}
		})
	}
}

func TestWriteToClosedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 1)
		_ = write(a)()
		waiting := inBackground(write(a))
		wantBlocked(t, waiting)
		_ = b.Close()
		wantError(t, "a waiting Write", <-waiting, syscall.EPIPE)
		wantError(t, "a later Write", write(a)(), syscall.EPIPE)
	})
}

func TestCloseWriteKeepsOtherDirection(t *testing.T) {
	a, b := pipe(t, 0)
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Write after CloseWrite", write(a)(), syscall.EPIPE)
	if err := write(b)(); err != nil {
		t.Errorf("the peer's Write: %v", err)
	}
	if err := read(a)(); err != nil {
		t.Errorf("Read of the peer's bytes: %v", err)
	}
}

func TestCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipe(t, 1)
		_ = write(a)()
		reading, writing, queued := inBackground(read(a)), inBackground(write(a)),
			inBackground(write(a))
		wantBlocked(t, reading)
		wantBlocked(t, writing)
		wantBlocked(t, queued)
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantError(t, "Read", <-reading, net.ErrClosed)
		wantError(t, "Write", <-writing, net.ErrClosed)
		wantError(t, "queued Write", <-queued, net.ErrClosed)
	})
}

func TestCallsFailAfterClose(t *testing.T) {
	a, _ := pipe(t, 0)
	_ = a.Close()
	for name, call := range map[string]func() error{
		"Read":             read(a),
		"empty Read":       func() error { _, err := a.Read(nil); return err },
		"Write":            write(a),
		"empty Write":      func() error { _, err := a.Write(nil); return err },
		"Close":            a.Close,
		"CloseWrite":       a.CloseWrite,
		"SetDeadline":      func() error { return a.SetDeadline(time.Time{}) },
		"SetReadDeadline":  func() error { return a.SetReadDeadline(time.Time{}) },
		"SetWriteDeadline": func() error { return a.SetWriteDeadline(time.Time{}) },
	} {
		wantError(t, name, call(), net.ErrClosed)
	}
}

func TestCutFailsBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 4)
		if _, err := io.WriteString(a, "lost"); err != nil {
			t.Fatal(err)
		}
		waiting := []<-chan error{inBackground(write(a)), inBackground(read(a))}
		for _, call := range waiting {
			wantBlocked(t, call)
		}
		a.Cut()
		for _, call := range append(waiting, inBackground(read(b)), inBackground(write(b))) {
			wantError(t, "after Cut", <-call, syscall.ECONNRESET)
		}
		if a.Close() != nil || b.Close() != nil {
			t.Error("Close of a cut end returned an error")
		}
		wantError(t, "after Close", read(a)(), net.ErrClosed)
	})
}

func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 4)
		a.BlackHole()
		if _, err := io.WriteString(a, "abcd"); err != nil {
			t.Fatalf("Write into the empty buffer: %v", err)
		}
		reading, writing := inBackground(read(b)), inBackground(write(a))
		wantBlocked(t, reading)
		wantBlocked(t, writing)

		// Neither end notices the Close of the other.
		if err := b.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		wantError(t, "Read from a black hole", <-reading, os.ErrDeadlineExceeded)
		_ = b.Close()
		wantBlocked(t, writing)

		a.Heal()
		wantError(t, "Write after Heal", <-writing, syscall.EPIPE)
	})
}

func TestHealDeliversWrittenBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 0)
		b.BlackHole()
		if _, err := io.WriteString(a, "late"); err != nil {
			t.Fatal(err)
		}
		_ = a.Close()
		var got []byte
		reading := inBackground(func() (err error) { got, err = io.ReadAll(b); return err })
		wantBlocked(t, reading)
		b.Heal()
		if err := <-reading; err != nil || string(got) != "late" {
			t.Errorf("got %q, error %v; want \"late\", no error", got, err)
		}
	})
}

func TestCutDuringBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, 0)
		a.BlackHole()
		reading := inBackground(read(b))
		wantBlocked(t, reading)
		a.Cut()
		wantError(t, "Read", <-reading, syscall.ECONNRESET)
	})
}
