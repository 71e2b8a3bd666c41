package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptHub is a hub that a script has started.
type scriptHub struct {
	*exec.Cmd
	stderr bytes.Buffer
	done   chan struct{} // closed when the process has ended
}

// hubs maps the *testscript.TestScript of each running script to its *scriptHub.
var hubs sync.Map

// cmdHub is the script command hub. It starts "sse serve", and waits until the hub
// serves.
func cmdHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: hub [FLAG…]")
	}
	if _, ok := hubs.Load(ts); ok {
		ts.Fatalf("a hub is running: hubstop must come first")
	}
	file := ts.MkAbs("hub-addr")
	path, err := exec.LookPath("sse")
	ts.Check(err)
	h := &scriptHub{done: make(chan struct{})}
	h.Cmd = exec.Command(path, append([]string{
		"serve", "--addr", "localhost:0", "--addr-file", file}, args...)...)
	h.Dir, h.Stderr = ts.Getenv("WORK"), &h.stderr
	h.Env = append(os.Environ(),
		"SSE_SERVE_KEY="+ts.Getenv("SSE_SERVE_KEY"), "GORACE=atexit_sleep_ms=0")
	ts.Check(h.Start())
	go func() {
		defer close(h.done)
		_ = h.Wait() // hubstop checks the exit code
	}()
	hubs.Store(ts, h)
	ts.Defer(func() {
		if _, ok := hubs.LoadAndDelete(ts); ok {
			_ = h.Process.Kill()
			<-h.done
		}
	})
	addr := h.await(ts, file)
	_, port, err := net.SplitHostPort(addr)
	ts.Check(err)
	ts.Setenv("HUB", addr)
	ts.Setenv("HUBPORT", port)
}

// await waits until the hub has written its address to file, and returns the
// address.
func (h *scriptHub) await(ts *testscript.TestScript, file string) string {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(text))
		}
		select {
		case <-tick.C:
		case <-h.done:
			ts.Fatalf("sse serve ended before it was ready: %s", h.stderr.String())
		}
	}
}

// cmdHubStop is the script command hubstop. It interrupts the hub, waits until it
// has exited, and writes its stderr to the file hub-stderr. On Windows, it kills the
// hub and writes no file.
func cmdHubStop(ts *testscript.TestScript, neg bool, args []string) {
	value, ok := hubs.LoadAndDelete(ts)
	if neg || len(args) > 0 || !ok {
		ts.Fatalf("usage: hubstop, after hub")
	}
	h := value.(*scriptHub)
	if onWindows {
		_ = h.Process.Kill()
		<-h.done
		return
	}
	ts.Check(h.Process.Signal(os.Interrupt))
	<-h.done
	ts.Logf("%s", h.stderr.String())
	if code := h.ProcessState.ExitCode(); code != exitDone {
		ts.Fatalf("exit code of sse serve: got %d, want %d", code, exitDone)
	}
	ts.Check(os.WriteFile(ts.MkAbs("hub-stderr"), h.stderr.Bytes(), 0o600))
}
