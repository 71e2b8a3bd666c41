package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startLimitedHub is like startHub, but limits the resources of the process. Limit is
// the argument of the shell command ulimit, for example "-n 256" for 256 descriptors.
func startLimitedHub(tb testing.TB, limit string, flags ...string) *hubProcess {
	tb.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		tb.Skip("no shell can limit the process: ", err)
	}
	args := append([]string{"-c", "ulimit " + limit + ` && exec sse-child serve "$@"`, "sh"}, flags...)
	return startHubWith(tb, exec.Command(shell, args...))
}

// A flood of connections without a key does not use up the descriptors that the
// event log needs, and does not fill the log of the hub.
func TestServeFloodOfConnections(t *testing.T) {
	skipWithoutSignals(t)
	const secret = "0123456789abcdef"
	addr := freeAddr(t)
	h := startLimitedHub(t, "-n 256", "--addr", addr, "--data", t.TempDir(),
		"--key", "backend "+secret+" publish ** subscribe **")
	h.await(h.ready)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	publish := func(client *http.Client) {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/news",
			strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		response, err := client.Do(request)
		if err != nil {
			t.Fatalf("publishing during the flood: %v\n%.2000s", err, h.logText())
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("publishing during the flood: %s, %q, %v", response.Status, text, err)
		}
	}
	regular := &http.Client{Transport: &http.Transport{}}
	defer regular.CloseIdleConnections()
	publish(regular)
	var dialer net.Dialer
	for i := range 620 {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		if i%2 == 0 { // every other connection sends nothing
			_, _ = io.WriteString(conn, "GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
	}
	for range 2 {
		fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		publish(fresh)
		publish(regular)
	}
	if log := h.logText(); len(log) > 4<<10 {
		t.Errorf("the hub logged %d bytes, want at most 4 KiB:\n%.2000s", len(log), log)
	} else if !strings.Contains(log, "all 128 connections are in use") {
		t.Errorf("the hub logged %q, want that all connections are in use", log)
	}
	h.signal(os.Interrupt)
	h.checkExit(exitDone)
}
