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

// BenchmarkRestart measures how long a hub with 1,000,000 events takes to start
// and to answer its first clients, while no publisher is active. One op is one
// start of the process. Before each start, the previous hub stores 2% more events,
// and is then stopped (case "ended") or killed (case "killed"). The metrics are:
//
//   - ready-ms: the time until the process logs that it serves.
//   - resume-ms: the time from a request to its first event. The request has the
//     ID of the eleventh event from the end.
//   - last10-ms: the same for a request for the last ten events.
//
// The metrics with "max" are the longest of these times, and the others are the
// means. The case "empty" has about 50 events, so it shows the cost of starting a
// process.
func BenchmarkRestart(b *testing.B) {
	if onWindows {
		b.Skip("a process cannot interrupt another process")
	}
	b.Run("empty", func(b *testing.B) { benchRestart(b, 50, 1) })
	for _, topics := range []int{1, 1000} {
		b.Run(fmt.Sprint("topics=", topics), func(b *testing.B) { benchRestart(b, 1_000_000, topics) })
	}
}

func benchRestart(b *testing.B, events, topics int) {
	s := newHubService(b, "--keep-bytes", "0")
	s.start()
	stored := 0
	add := func(n int) {
		publishRange(b, s, stored, stored+n, topics)
		stored += n
	}
	add(events)
	for _, end := range []string{"ended", "killed"} {
		b.Run(end, func(b *testing.B) {
			var ready, resume, last10 durations
			for b.Loop() {
				b.StopTimer()
				add(events / 50)
				page := readHistory(b, s, "/bench/0?follow=0&since=-11")
				if len(page) != 11 {
					b.Fatalf("the page has %d events, want the last 11", len(page))
				}
				if end == "ended" {
					s.hub.signal(syscall.SIGTERM)
					s.hub.checkExit(exitDone)
				} else {
					s.hub.kill()
				}
				s.markDown()
				b.StartTimer()
				began := time.Now()
				s.start()
				ready.add(time.Since(began))
				b.StopTimer()
				resume.add(timeFirstEvent(b, s, "/bench/0", page[0].ID, page[1].Data))
				last10.add(timeFirstEvent(b, s, "/bench/0?since=-10", "", page[1].Data))
				b.StartTimer()
			}
			ready.report(b, "ready")
			resume.report(b, "resume")
			last10.report(b, "last10")
		})
	}
}

// durations collects durations, and reports their mean and their maximum.
type durations struct {
	n        int
	sum, max time.Duration
}

func (s *durations) add(d time.Duration) {
	s.n++
	s.sum += d
	s.max = max(s.max, d)
}

func (s *durations) report(b *testing.B, name string) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(s.sum)/float64(s.n), name+"-ms")
	b.ReportMetric(ms(s.max), name+"-max-ms")
}

// publishRange publishes the events n to until-1 in batches. The topic of event n
// is bench/0 to bench/(topics-1), in rotation.
func publishRange(b *testing.B, s *hubService, n, until, topics int) {
	const batch = 10_000
	text := strings.Repeat("x", 90)
	for n < until {
		var body bytes.Buffer
		for end := min(n+batch, until); n < end; n++ {
			fmt.Fprintf(&body, "{\"topics\":[\"bench/%d\"],\"data\":\"%09d %s\"}\n",
				n%topics, n, text)
		}
		response, err := http.Post("http://"+s.addr+"/-/batch", "application/x-ndjson", &body)
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("POST /-/batch: %s: %s (%v)", response.Status, text, err)
		}
	}
}

// timeFirstEvent subscribes, and returns the time until the first event arrives. If
// lastID is not empty, it is sent as the Last-Event-ID. The data of the first event
// must be data. Events of type sse.cursor, which carry only an ID, are skipped.
func timeFirstEvent(b *testing.B, s *hubService, path, lastID, data string) time.Duration {
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
	defer response.Body.Close() // reads the rest of the body; ends at once after conn.Close
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
