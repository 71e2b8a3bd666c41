// Command dashboard serves a page with live charts. Start it with
// go run ./examples/dashboard and open http://localhost:3002 in several tabs. To open
// the page on a phone, too, add -addr :3002.
//
// The page has one EventSource for all charts. The stream begins with the events of
// the last minute, so that every chart is full at once. The EventSource reconnects on its own
// and receives the events that it missed. Watch the page and try:
//
//	curl -d 900 localhost:3002/latency              # a value of your own
//	curl -X DELETE localhost:3002                   # all streams end, and reconnect without loss
//	stop the server and start it again              # the events are lost: the page shows a gap
//	curl -N 'localhost:3002/events?topic=errors&since=-10'
//	curl -N localhost:3002/events?topic=wether      # no such metric: 404
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sse-go/sse"
)

//go:embed page.html
var page []byte

// metrics are the topics. The functions stand for real measurements; t is the time in
// seconds.
var metrics = map[string]func(t float64) float64{
	"requests": func(t float64) float64 { return 420 + 160*math.Sin(t/19) + 30*rand.NormFloat64() },
	"latency":  func(t float64) float64 { return 38 + 14*math.Sin(t/19) + 8*rand.ExpFloat64() },
	"errors":   func(t float64) float64 { return math.Floor(1.4 * rand.ExpFloat64()) },
	"memory":   func(t float64) float64 { return 180 + 3*math.Mod(t, 37) }, // grows, then falls
}

// sample is the data of every event. The type of the event is the name of the metric,
// because a browser does not see topics.
type sample struct {
	Time  int64   `json:"t"` // in milliseconds, as in JavaScript
	Value float64 `json:"v"`
}

func main() {
	addr := flag.String("addr", "localhost:3002", "listen on `address`")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	broker := &sse.Broker{
		Retention: sse.Retention{Age: 10 * time.Minute},
		Select:    selectMetrics,
		Streams:   sse.StreamOptions{Retry: time.Second},
	}
	go measure(broker)
	server := &http.Server{Handler: newHandler(broker)}
	shutdown := broker.Attach(server)
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		log.Printf("server on http://%s; open it in a browser", listener.Addr())
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-interrupt.Done()
	stop() // a second interrupt ends the process at once
	// The timeout begins now, and not when the program starts.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		log.Print(err)
	}
}

// newHandler returns the handler of the page, the stream, and the curl commands.
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
			http.Error(w, "the body must be a number, and the path must be a metric", http.StatusBadRequest)
			return
		}
		publish(broker, name, value)
	})
	mux.HandleFunc("DELETE /{$}", func(w http.ResponseWriter, r *http.Request) {
		broker.Kick(func(sse.Subscriber) bool { return true })
	})
	return mux
}

// selectMetrics selects the metrics that the query names. If it names none, it
// selects all metrics.
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
		// A tab that reads nothing for half a minute and then continues receives a gap
		// and the latest value of each metric, not all the old values.
		Lag:    sse.LagLatest,
		MaxLag: 30 * len(topics),
	}, nil
}

// measure publishes a sample of every metric each second.
func measure(broker *sse.Broker) {
	for now := range time.Tick(time.Second) {
		for name, value := range metrics {
			publish(broker, name, value(float64(now.UnixMilli())/1000))
		}
	}
}

func publish(broker *sse.Broker, metric string, value float64) {
	value = math.Round(value*10) / 10
	_, err := broker.PublishJSON(context.Background(), sse.Event{Type: metric},
		sample{time.Now().UnixMilli(), value}, metric)
	if err != nil {
		log.Print(err) // for example, the value is NaN: curl can send that
	}
}
