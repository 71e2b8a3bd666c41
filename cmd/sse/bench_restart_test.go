package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sse-go/sse"
)

// BenchmarkRestart is issue 6, acceptance 3: a hub with 1,000,000 events is started,
// and a client resumes after the eleventh last, or asks for the last ten, while
// nothing is published. An op is one start; ready-ms is until the process says that
// it serves, resume-ms and last10-ms from the request until the first event has come.
// The hub before was ended, or killed, right after it had got 20,000 more. A hub with
// few events shows what a process costs.
func BenchmarkRestart(b *testing.B) {
	if windows {
		b.Skip("a process cannot be interrupted by another")
	}
	b.Run("empty", func(b *testing.B) { benchRestart(b, 50, 1) })
	for _, topics := range []int{1, 1000} {
		b.Run(fmt.Sprint("topics=", topics), func(b *testing.B) { benchRestart(b, 1_000_000, topics) })
	}
}

func benchRestart(b *testing.B, events, topics int) {
	s := newSite(b, "--keep-bytes", "0")
	s.start()
	filled := 0
	more := func(n int) {
		fill(b, s, filled, filled+n, topics)
		filled += n
	}
	more(events)
	for _, way := range []string{"ended", "killed"} {
		b.Run(way, func(b *testing.B) {
			var ready, resume, last10 worst
			for b.Loop() {
				b.StopTimer()
				more(events / 50)
				page := readHistory(b, s, "/bench/0?follow=0&since=-11")
				if len(page) != 11 {
					b.Fatalf("a page of the last 11 has %d events", len(page))
				}
				if way == "ended" {
					s.hub.signal(syscall.SIGTERM)
					s.hub.exit(exitDone)
				} else {
					s.hub.kill()
				}
				s.goes()
				b.StartTimer()
				began := time.Now()
				s.start()
				ready.add(time.Since(began))
				b.StopTimer()
				resume.add(firstEvent(b, s, "/bench/0", page[0].ID, page[1].Data))
				last10.add(firstEvent(b, s, "/bench/0?since=-10", "", page[1].Data))
				b.StartTimer()
			}
			ready.report(b, "ready")
			resume.report(b, "resume")
			last10.report(b, "last10")
		})
	}
}

// worst is the mean of some durations, and the longest.
type worst struct {
	n        int
	sum, max time.Duration
}

func (w *worst) add(d time.Duration) {
	w.n++
	w.sum += d
	w.max = max(w.max, d)
}

func (w *worst) report(b *testing.B, what string) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(w.sum)/float64(w.n), what+"-ms")
	b.ReportMetric(ms(w.max), what+"-max-ms")
}

// fill publishes the events from one number to another in batches. Those of a topic
// are spread over all.
func fill(b *testing.B, s *site, n, until, topics int) {
	const batch = 10_000
	text := strings.Repeat("x", 90)
	for n < until {
		var body bytes.Buffer
		for end := min(n+batch, until); n < end; n++ {
			fmt.Fprintf(&body, "{\"topics\":[\"bench/%d\"],\"data\":\"%09d %s\"}\n", n%topics, n, text)
		}
		response, err := http.Post("http://"+s.addr+"/-/batch", "application/x-ndjson", &body)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("%s: %s (%v)", response.Status, answer, err)
		}
	}
}

// firstEvent subscribes, and returns how long the first event takes, which must have
// this data.
func firstEvent(b *testing.B, s *site, path, lastID, data string) time.Duration {
	b.Helper()
	began := time.Now()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"
	if lastID != "" {
		request += "Last-Event-ID: " + lastID + "\r\n"
	}
	_, err = io.WriteString(conn, request+"\r\n")
	response, err2 := http.ReadResponse(bufio.NewReader(conn), nil)
	if err := errors.Join(err, err2); err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close() // reads to the end
	defer conn.Close()
	for decoder := sse.NewDecoder(response.Body, nil); ; {
		event, err := decoder.Next()
		switch {
		case err != nil:
			b.Fatal(err)
		case string(event.Type) == "sse.cursor":
		case string(event.Data) != data:
			b.Fatalf("the first event is %q %q, want %q", event.Type, event.Data, data)
		default:
			return time.Since(began)
		}
	}
}
