//go:build amd64 || arm64

package poll

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
)

// pair is a connection within the process: bytes written to out arrive at in.
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

// take reads and returns all bytes that have arrived.
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

// fill writes until the socket has no room left.
func (p pair) fill(tb testing.TB) {
	tb.Helper()
	out := Output{FD: p.out, Data: make([]byte, 16<<20)}
	if (&epoll{}).Write(&out); out.Err != nil || out.N == len(out.Data) {
		tb.Fatalf("wrote %d of %d bytes, %v", out.N, len(out.Data), out.Err)
	}
}

// newTestPoller returns a poller that uses io_uring if ring is set. It skips the
// test if ring is set but the system does not allow io_uring.
func newTestPoller(t *testing.T, ring bool) *epoll {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	e := p.(*epoll)
	t.Cleanup(func() {
		e.Stop()
		e.Free()
	})
	switch {
	case !ring:
		e.Free()
	case e.ring == nil:
		_, err := newURing(Batch)
		if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skipf("this system has no io_uring, or does not allow it: %v", err)
	}
	return e
}

// With and without io_uring, WriteAll writes as many bytes as each socket has room
// for, and stores an error in each output that failed.
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
			outs := []*Output{
				{FD: full.out, Data: []byte("full")},
				{FD: gone.out, Data: []byte("gone")},
				{FD: -1, Data: []byte("none")},
				{FD: fine.out, Data: large},
			}
			var others []pair
			for i := range 2*Batch + 3 {
				p := newPair(t)
				others = append(others, p)
				outs = append(outs, &Output{FD: p.out, Data: large[:1+i]})
			}
			if ring {
				sendOnly(t, e, outs)
			}
			e.WriteAll(outs)
			if out := outs[0]; out.N != 0 || out.Err != nil {
				t.Errorf("without room: %d bytes, %v; want nothing", out.N, out.Err)
			}
			if out := outs[1]; out.N != 0 || !errors.Is(out.Err, syscall.EPIPE) {
				t.Errorf("without a peer: %d bytes, %v; want EPIPE", out.N, out.Err)
			}
			if out := outs[2]; out.N != 0 || !errors.Is(out.Err, syscall.EBADF) {
				t.Errorf("no descriptor: %d bytes, %v; want EBADF", out.N, out.Err)
			}
			out := outs[3]
			if got := fine.take(t); out.N == 0 || out.N == len(large) || out.Err != nil ||
				!bytes.Equal(got, large[:out.N]) {
				t.Errorf("too much: wrote %d of %d bytes, %v; %d came", out.N, len(large), out.Err, len(got))
			}
			for i, p := range others {
				out := outs[4+i]
				if got := p.take(t); out.Err != nil || out.N != 1+i || !bytes.Equal(got, out.Data) {
					t.Errorf("%d: wrote %d of %d bytes, %v; %q came", i, out.N, len(out.Data), out.Err, got)
				}
			}
			if ring && e.ring == nil {
				t.Error("the poller has dropped the ring")
			}
			// The rest is written once there is room.
			outs = slices.DeleteFunc(outs, func(o *Output) bool { return o.Err != nil || o.N == len(o.Data) })
			full.take(t)
			e.WriteAll(outs)
			if got := full.take(t); string(got) != "full" {
				t.Errorf("once there was room, %q came", got)
			}
		})
	}
}

// sendOnly writes outs with the ring alone. outs[0] must have no room, outs[1] no
// peer and outs[2] no descriptor. sendOnly checks that the ring writes all other
// outputs, because WriteAll would write them without the ring too.
func sendOnly(t *testing.T, e *epoll, outs []*Output) {
	t.Helper()
	if !e.ring.send(outs) {
		t.Fatal("the ring reports that it cannot be used")
	}
	if !errors.Is(outs[1].Err, syscall.EPIPE) {
		t.Errorf("without a peer the ring reports %v", outs[1].Err)
	}
	for i, out := range outs[3:] {
		if out.N == 0 || out.N < len(out.Data) && i > 0 {
			t.Errorf("the ring wrote %d of %d bytes", out.N, len(out.Data))
		}
	}
}

// After the ring has failed, the poller writes without it. No output is lost or
// written twice. The test replaces the ring's descriptor, so that its next system
// call fails.
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
		var outs []*Output
		for range 2 * uringMin {
			p := newPair(t)
			pairs = append(pairs, p)
			outs = append(outs, &Output{FD: p.out, Data: []byte("hello")})
		}
		e.WriteAll(outs)
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
