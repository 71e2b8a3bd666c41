// Command dashboard serves a page with live charts: go run ./examples/dashboard
// and open http://localhost:3002, in several tabs and on a phone (-addr :3002).
//
// The page has one EventSource for all charts. It begins with the last minute, so
// that a chart is full at once, and comes back by itself, with what it has missed.
// Try, and watch the page:
//
//	curl -d 900 localhost:3002/latency              # a value of your own
//	curl -X DELETE localhost:3002                   # all streams end, come back, and lose nothing
//	stop the server, and start it again             # its memory is lost: the page shows a gap
//	curl -N 'localhost:3002/events?topic=errors&since=-10'
//	curl -N localhost:3002/events?topic=wether      # there is no such metric: 404
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

//go:embed page.html
var page []byte

// metrics are the topics. The functions, of the time in seconds, stand for
// whatever you measure.
var metrics = map[string]func(t float64) float64{
	"requests": func(t float64) float64 { return 420 + 160*math.Sin(t/19) + 30*rand.NormFloat64() },
	"latency":  func(t float64) float64 { return 38 + 14*math.Sin(t/19) + 8*rand.ExpFloat64() },
	"errors":   func(t float64) float64 { return math.Floor(1.4 * rand.ExpFloat64()) },
	"memory":   func(t float64) float64 { return 180 + 3*math.Mod(t, 37) }, // until it is collected
}

// sample is the data of every event. Its type is the metric's name: a browser does
// not see topics.
type sample struct {
	Time  int64   `json:"t"` // in milliseconds, as scripts like it
	Value float64 `json:"v"`
}

func main() {
	addr := flag.String("addr", "localhost:3002", "where to listen")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	broker := &sse.Broker{
		Retention: sse.Retention{Age: 10 * time.Minute},
		Select:    selectMetrics,
		Stream:    sse.AcceptOptions{Retry: time.Second},
	}
	go measure(broker)
	server := &http.Server{Handler: newHandler(broker), ConnContext: sse.ConnContext}
	log.Printf("server on http://%s; open it in a browser", listener.Addr())
	log.Fatal(server.Serve(listener))
}

// newHandler serves the page, the stream, and curl.
func newHandler(broker *sse.Broker) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.Handle("GET /events", broker)
	mux.HandleFunc("POST /{metric}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("metric")
		body, _ := io.ReadAll(io.LimitReader(r.Body, 100))
		value, err := strconv.ParseFloat(strings.TrimSpace(string(body)), 64)
		if err != nil || metrics[name] == nil {
			http.Error(w, "want a number, on one of the metrics", http.StatusBadRequest)
			return
		}
		publish(broker, name, value)
	})
	mux.HandleFunc("DELETE /{$}", func(w http.ResponseWriter, r *http.Request) {
		for _, subscriber := range broker.Subscribers() {
			broker.Kick(subscriber.ID)
		}
	})
	return mux
}

// selectMetrics lets a request have the metrics that it names, or all.
func selectMetrics(r *http.Request) (sse.Selection, error) {
	topics := r.URL.Query()["topic"]
	for _, topic := range topics {
		if metrics[topic] == nil {
			return sse.Selection{}, &sse.ResponseError{
				StatusCode: http.StatusNotFound,
				Reason:     fmt.Sprintf("there is no metric %q", topic),
			}
		}
	}
	if len(topics) == 0 {
		topics = slices.Collect(maps.Keys(metrics))
	}
	return sse.Selection{
		Topics: topics,
		// A tab that takes nothing for half a minute, and then goes on, gets the latest
		// value of each metric, not ever older ones. It is told, by a gap.
		Lag:    sse.LagLatest,
		MaxLag: 30 * len(topics),
	}, nil
}

func measure(broker *sse.Broker) {
	for now := range time.Tick(time.Second) {
		for name, value := range metrics {
			publish(broker, name, value(float64(now.UnixMilli())/1000))
		}
	}
}

func publish(broker *sse.Broker, metric string, value float64) {
	data, err := json.Marshal(sample{time.Now().UnixMilli(), math.Round(value*10) / 10})
	if err == nil {
		_, err = broker.Publish(context.Background(), sse.Event{Type: metric, Data: string(data)}, metric)
	}
	if err != nil {
		log.Print(err) // a NaN, which curl can send
	}
}
