package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// flood is a kind of request that many clients send.
type flood struct {
	name, words string
	unit        string // what the generator counts, for example requests
	workers     int    // number of concurrent clients
	conns       int    // number of idle connections in the turns without the flood
	hub         []string
	fill        func(addr string) error // publishes events before the flood, unless nil
	step        stepFunc
}

// stepFunc is a step of the flood, for example a request. It returns an amount in the
// unit of the flood.
type stepFunc func(w *worker) (units float64, err error)

// secret is the key of the healthy client. Only the hub of the first flood has keys,
// and the other hubs ignore the key.
const secret = "0123456789abcdef"

var (
	keyed = []string{"--key", "k " + secret + " publish ** subscribe **", "--max-connections", "2000"}
	wide  = []string{"--keep-bytes", "1GiB"} // the hub then retains 100,000 topics in memory
)

var floods = []*flood{
	{"connections", "connections without a key, opened and closed or left open, up to 2,000",
		"connections", 50, 1990, keyed, nil, connect},
	{"pages", "100 connections ask for pages of 11 MiB, and do not read them for a second",
		"requests", 100, 100, nil, fillPages, leavePage},
	{"bodies", "100 connections each send a large body slowly, 50 by PUT and 50 by POST",
		"MiB", 100, 100, nil, nil, sendBody},
	{"tickets", "tickets for 1,000 topics each",
		"requests", 16, 16, nil, nil, repeat("POST /-/tickets?", 1000, "topic=twenty-bytes-of/%04[1]d")},
	{"topics", "events with 1,024 new topics each",
		"requests", 16, 16, nil, nil, repeat("POST /-/publish?", 1024, "topic=new/%[2]d/%[3]d/%[1]d")},
	{"since", "`since=-10` with a pattern of 100,000 topics",
		"requests", 16, 16, wide, fillTopics, subscribe("/fill/*?since=-10", 10)},
	{"limit", "pages with `limit=1` of `**`, beside 100,000 topics",
		"requests", 16, 16, wide, fillTopics, repeat("GET /**?follow=0&limit=1", 0, "")},
	{"subscribers", "200 subscribers of `**` that connect and disconnect, beside 100,000 topics",
		"requests", 200, 200, wide, fillTopics, subscribe("/**", 1)},
	// The patterns select only the newest event, so the hub compares all topics of all
	// events before that event.
	{"patterns", "pages with 1,024 patterns, beside events with 1,024 topics", "requests", 16, 16, nil,
		fillPatterns, repeat("GET /-/events?follow=0&limit=1&", 1024, "pattern=last/%[1]d/*")},
	{"plain", "200 subscribers of one topic that connect and disconnect, beside 100,000 topics",
		"requests", 200, 200, wide, fillTopics, subscribe("/news", 1)},
}

func named(name string) *flood {
	return floods[slices.IndexFunc(floods, func(f *flood) bool { return f.name == name })]
}

// idle opens a connection that does nothing after one request. Without the request, the
// hub would close the connection after ten seconds.
func idle(w *worker) (float64, error) {
	w.rest = time.Hour
	return 1, w.exchange(w.request("GET /-/healthz"))
}

// connect opens a connection. Half of the connections send a request without a key and
// are closed after the response. The others send nothing and stay open until the worker
// has opened 39 more of them.
func connect(w *worker) (float64, error) {
	if w.n%2 == 0 {
		defer w.drop()
		return 1, w.exchange(w.request("GET /news"))
	}
	if len(w.open) == 39 {
		_ = w.open[0].Close()
		w.open = w.open[1:]
	}
	if err := w.dial(); err != nil {
		return 0, err
	}
	w.open, w.conn = append(w.open, w.conn), nil
	return 1, nil
}

// leavePage asks for a page, and leaves the page unread for a second.
func leavePage(w *worker) (float64, error) {
	w.drop() // the page before
	if err := w.dial(); err != nil {
		return 0, err
	}
	_ = w.conn.(*net.TCPConn).SetReadBuffer(4 << 10) // most of the page stays in the hub
	w.rest = time.Second
	_, err := w.ask(w.request("GET /big?follow=0")) //nolint:bodyclose // drop closes the connection
	return 1, err
}

// piece is a part of a body.
var piece = strings.Repeat("x", 16<<10)

// sendBody sends a piece of a body every 20 ms. The bodies of the workers have 1 to 9
// MiB, so some bodies end in each turn.
func sendBody(w *worker) (float64, error) {
	if err := w.dial(); err != nil {
		return 0, err
	}
	head := ""
	if w.left == 0 {
		w.left = 64 + 5*w.number
		head = fmt.Sprintf("%s /body/%d HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n",
			[]string{"PUT", "POST"}[w.number%2], w.number, w.addr, w.left*len(piece))
	}
	w.rest = 20 * time.Millisecond
	if w.left--; w.left == 0 {
		return 1. / 64, w.exchange(piece)
	}
	_, err := io.WriteString(w.conn, head+piece)
	return 1. / 64, err
}

// repeat sends a request and reads the response. The target of the request ends with
// count parameters.
func repeat(target string, count int, parameter string) stepFunc {
	return func(w *worker) (float64, error) {
		return 1, w.exchange(w.request(target + w.list(count, parameter)))
	}
}

// list returns parameters of a query. The format of a parameter has the arguments: number
// of the parameter, number of the worker, number of the step.
func (w *worker) list(count int, format string) string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf(format, i, w.number, w.n)
	}
	return strings.Join(all, "&")
}

// subscribe begins a stream, reads the stream until it has had so many IDs, and
// disconnects.
func subscribe(path string, ids int) stepFunc {
	return func(w *worker) (float64, error) {
		defer w.drop()
		response, err := w.ask(w.request("GET " + path)) //nolint:bodyclose // drop closes it
		if err != nil || response.StatusCode != http.StatusOK {
			return 1, err
		}
		for range ids {
			for line := ""; !strings.HasPrefix(line, "id:"); {
				if line, err = w.in.ReadString('\n'); err != nil {
					return 0, err
				}
			}
		}
		return 1, nil
	}
}

// request returns a request without a body. target is its method and its path.
func (w *worker) request(target string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", target, w.addr)
}

// fillTopics publishes 6,250 events with 16 new topics each.
func fillTopics(addr string) error { return batch(addr, 6250, 16, "fill/%[1]d") }

// fillPatterns publishes 200 events with the same 1,024 topics, and then one event with
// 1,024 other topics.
func fillPatterns(addr string) error {
	return errors.Join(batch(addr, 200, 1024, "many/%[2]d/x"), batch(addr, 1, 1024, "last/%[2]d/x"))
}

// fillPages publishes a page of 11 MiB. A page ends with the event with which the page
// reaches 4 MiB.
func fillPages(addr string) error {
	var err error
	for _, size := range []int{1, 1, 1, 8} {
		err = errors.Join(err, post(addr, "/big", strings.Repeat("x", size<<20)))
	}
	return err
}

// batch publishes events with several topics each. The format of a topic has the
// arguments: number of the topic among all topics, number of the topic in its event.
func batch(addr string, events, topics int, format string) error {
	var b strings.Builder
	for event := range events {
		names := make([]string, topics)
		for i := range names {
			names[i] = fmt.Sprintf(format, event*topics+i, i)
		}
		fmt.Fprintf(&b, `{"data":"x","topics":["%s"]}`+"\n", strings.Join(names, `","`))
	}
	return post(addr, "/-/batch", b.String())
}

func post(addr, path, body string) error {
	response, err := http.Post("http://"+addr+path, "text/plain", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s: %s", path, response.Status, text)
	}
	return nil
}
