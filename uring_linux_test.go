//go:build amd64 || arm64

package sse

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
)

// pair is a connection within the process; what is written to out comes in.
type pair struct{ out, in int }

func newPair(tb testing.TB) pair {
	tb.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = syscall.Close(fds[0])
		_ = syscall.Close(fds[1])
	})
	return pair{fds[0], fds[1]}
}

// take reads what is there.
func (p pair) take(tb testing.TB) []byte {
	tb.Helper()
	var all []byte
	buf := make([]byte, 1<<20)
	for {
		n, err := syscall.Read(p.in, buf)
		if err == syscall.EAGAIN || err == nil && n == 0 {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, buf[:n]...)
	}
}

// fill leaves no room in it.
func (p pair) fill(tb testing.TB) {
	tb.Helper()
	out := output{fd: p.out, data: make([]byte, 16<<20)}
	if (&epoll{}).write(&out); out.err != nil || out.n == len(out.data) {
		tb.Fatalf("wrote %d of %d bytes, %v", out.n, len(out.data), out.err)
	}
}

// newTestPoller is a poller with a ring, or without.
func newTestPoller(t *testing.T, ring bool) *epoll {
	t.Helper()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	e := p.(*epoll)
	t.Cleanup(func() {
		e.stop()
		e.free()
	})
	switch {
	case !ring:
		e.free()
	case e.ring == nil:
		_, err := newURing(loopBatch)
		if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skipf("this system has no ring, or does not allow it: %v", err)
	}
	return e
}

// Whether or not the system can write to many sockets at once, each gets what there is
// room for, and what is wrong with one is told of that one.
func TestWriteAll(t *testing.T) {
	for name, ring := range map[string]bool{"one by one": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			e := newTestPoller(t, ring)
			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than there is room for
			fine, full, gone := newPair(t), newPair(t), newPair(t)
			full.fill(t)
			if err := syscall.Shutdown(gone.in, syscall.SHUT_RD); err != nil {
				t.Fatal(err)
			}
			outs := []*output{
				{fd: full.out, data: []byte("full")},
				{fd: gone.out, data: []byte("gone")},
				{fd: -1, data: []byte("none")},
				{fd: fine.out, data: large},
			}
			var others []pair
			for i := range 2*loopBatch + 3 {
				p := newPair(t)
				others = append(others, p)
				outs = append(outs, &output{fd: p.out, data: large[:1+i]})
			}
			if ring {
				sendOnly(t, e, outs)
			}
			e.writeAll(outs)
			if out := outs[0]; out.n != 0 || out.err != nil {
				t.Errorf("without room: %d bytes, %v; want nothing", out.n, out.err)
			}
			if out := outs[1]; out.n != 0 || !errors.Is(out.err, syscall.EPIPE) {
				t.Errorf("without a peer: %d bytes, %v; want EPIPE", out.n, out.err)
			}
			if out := outs[2]; out.n != 0 || !errors.Is(out.err, syscall.EBADF) {
				t.Errorf("no descriptor: %d bytes, %v; want EBADF", out.n, out.err)
			}
			out := outs[3]
			if got := fine.take(t); out.n == 0 || out.n == len(large) || out.err != nil ||
				!bytes.Equal(got, large[:out.n]) {
				t.Errorf("too much: wrote %d of %d bytes, %v; %d came", out.n, len(large), out.err, len(got))
			}
			for i, p := range others {
				out := outs[4+i]
				if got := p.take(t); out.err != nil || out.n != 1+i || !bytes.Equal(got, out.data) {
					t.Errorf("%d: wrote %d of %d bytes, %v; %q came", i, out.n, len(out.data), out.err, got)
				}
			}
			if ring && e.ring == nil {
				t.Error("the ring was given up")
			}
			// What is left goes once there is room.
			outs = slices.DeleteFunc(outs, func(o *output) bool { return o.err != nil || o.n == len(o.data) })
			full.take(t)
			e.writeAll(outs)
			if got := full.take(t); string(got) != "full" {
				t.Errorf("once there was room, %q came", got)
			}
		})
	}
}

// sendOnly makes sure that the ring does it, and leaves to write only what is wrong.
func sendOnly(t *testing.T, e *epoll, outs []*output) {
	t.Helper()
	if !e.ring.send(outs) {
		t.Fatal("the ring is of no use")
	}
	if !errors.Is(outs[1].err, syscall.EPIPE) {
		t.Errorf("without a peer the ring says %v", outs[1].err)
	}
	for i, out := range outs[3:] {
		if out.n == 0 || out.n < len(out.data) && i > 0 {
			t.Errorf("the ring wrote %d of %d bytes", out.n, len(out.data))
		}
	}
}

// A ring that fails is given up, and nothing is lost or written twice.
func TestRingLost(t *testing.T) {
	e := newTestPoller(t, true)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := syscall.Dup3(int(null.Fd()), e.ring.fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var pairs []pair
		var outs []*output
		for range 2 * uringLeast {
			p := newPair(t)
			pairs = append(pairs, p)
			outs = append(outs, &output{fd: p.out, data: []byte("hello")})
		}
		e.writeAll(outs)
		for _, p := range pairs {
			if got := p.take(t); string(got) != "hello" {
				t.Errorf("%q came, want hello", got)
			}
		}
		if e.ring != nil {
			t.Error("the ring is still there")
		}
	}
}
