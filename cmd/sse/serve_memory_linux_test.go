//go:build !race

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryFlood sends many requests. If the hub limited only the memory of each
// request, it would need far more memory than mib.
type memoryFlood struct {
	name string
	run  func(*testing.T, string) // called with the hub's address
	mib  int                      // the limit of the hub's resident memory, in MiB
}

// The hub limits the memory of all requests together. With --max-inflight 64MiB, its
// resident memory stays below a small multiple of 64 MiB, because the garbage
// collector lets the heap double. Without the limit, each flood would take 400 MiB or
// more.
func TestServeFloodsOfMemory(t *testing.T) {
	t.Parallel()
	for _, flood := range []memoryFlood{
		{"pages that nobody reads", floodPages, 250},
		{"bodies", func(t *testing.T, addr string) { floodBodies(t, addr, "POST /news") }, 200},
		{"lines", func(t *testing.T, addr string) { floodBodies(t, addr, "PUT /news") }, 200},
		{"batches", func(t *testing.T, addr string) { floodBodies(t, addr, "POST /-/batch") }, 200},
		{"tickets", floodTickets, 150},
		{"events with new topics", floodTopics, 200},
	} {
		t.Run(flood.name, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			h := startHub(t, "--addr", addr, "--data", "memory", "--max-inflight", "64MiB")
			h.await(h.ready)
			flood.run(t, addr)
			peak := peakMemory(t, h.cmd.Process.Pid)
			t.Logf("peak: %d MiB", peak>>20)
			if peak > flood.mib<<20 {
				t.Errorf("the hub needed %d MiB, want at most %d MiB", peak>>20, flood.mib)
			}
			response, err := http.Post("http://"+addr+"/news", "", strings.NewReader("hello"))
			if err != nil {
				t.Fatal("after the flood: ", err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("after the flood: status %s, want 200", response.Status)
			}
		})
	}
}

// peakMemory returns the largest resident size that a process has had, in bytes.
func peakMemory(tb testing.TB, pid int) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				tb.Fatal(err)
			}
			return n << 10
		}
	}
	tb.Fatal("the system does not report VmHWM")
	return 0
}

// flood runs n clients at the same time. Each client calls send to write a request,
// and then waits for the first byte of a response. It waits at most until 12 seconds
// after it has connected, because the hub lets a request wait 10 seconds for memory.
// The connections stay open until the last client has finished.
func flood(t *testing.T, addr string, n int, send func(i int, w io.Writer)) {
	t.Helper()
	var wait sync.WaitGroup
	for i := range n {
		conn, err := net.Dial("tcp4", strings.Replace(addr, "localhost", "127.0.0.1", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // most of a page stays in the hub
		_ = conn.SetDeadline(time.Now().Add(12 * time.Second))
		wait.Go(func() {
			send(i, conn)
			_, _ = conn.Read(make([]byte, 1)) // fails if the hub waits for the rest of the body
		})
	}
	wait.Wait()
}

// post sends a POST request and returns the status of the response. The test fails
// unless the status is one of statuses.
func post(t *testing.T, url, body string, statuses ...int) int {
	t.Helper()
	response, err := http.Post(url, "", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	for _, status := range statuses {
		if response.StatusCode == status {
			return status
		}
	}
	t.Fatalf("POST %.100s: %s: %.200s", url, response.Status, text)
	return 0
}

// floodPages sends 150 requests for a page of 4 MiB, and reads at most one byte of
// each.
func floodPages(t *testing.T, addr string) {
	t.Helper()
	line := `{"topics":["news"],"data":"` + strings.Repeat(`\"`, 400) + `"}` + "\n"
	post(t, "http://"+addr+"/-/batch", strings.Repeat(line, 10_000), 200)
	flood(t, addr, 150, func(_ int, w io.Writer) {
		_, _ = io.WriteString(w, "GET /news?follow=0&limit=10000 HTTP/1.1\r\nHost: localhost\r\n"+
			"Accept: application/json\r\n\r\n")
	})
}

// floodBodies sends 100 bodies of 9 MiB, without the last byte.
func floodBodies(t *testing.T, addr, request string) {
	t.Helper()
	body := bytes.Repeat([]byte("x"), 9<<20)
	flood(t, addr, 100, func(_ int, w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
			request, len(body)+1)
		_, _ = w.Write(body) // fails when the hub refuses the rest
	})
}

// floodTickets requests tickets for 1,000 topics each, until the hub refuses one.
func floodTickets(t *testing.T, addr string) {
	t.Helper()
	query := strings.TrimSuffix(strings.Repeat("topic=twenty-bytes-of-topic&", 1000), "&")
	for n := 0; ; n++ {
		if post(t, "http://"+addr+"/-/tickets?"+query, "", 200, 503) != 200 {
			if n == 0 || n > 100 {
				t.Errorf("%d tickets were issued, want some and at most 100", n)
			}
			return
		}
	}
}

// floodTopics publishes 600 events with 1,024 new topics each.
func floodTopics(t *testing.T, addr string) {
	t.Helper()
	for i := range 20 {
		var batch strings.Builder
		for j := range 30 {
			batch.WriteString(`{"data":"x","topics":[`)
			for k := range 1024 {
				if k > 0 {
					batch.WriteByte(',')
				}
				fmt.Fprintf(&batch, `"flood/%d/%d/%d"`, i, j, k)
			}
			batch.WriteString("]}\n")
		}
		post(t, "http://"+addr+"/-/batch", batch.String(), 200)
	}
}
