// Command llm streams the answer to a question, as language models do, to a page
// that shows it word by word: go run . and open http://localhost:3001.
//
// The page and any other client can tell a whole answer from one that was cut,
// because the last event is agreed: [DONE].
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/sse-go/sse"
)

//go:embed page.html
var page []byte

// question is the body of the POST.
type question struct {
	Prompt string `json:"prompt"`

	// Cut makes the server lose the connection half-way, to see what happens.
	Cut bool `json:"cut"`
}

// token is the data of every event but the last.
type token struct {
	Text string `json:"text"`
}

// done ends an answer that is whole.
var done = sse.Event{Data: "[DONE]"}

func main() {
	log.Print("open http://localhost:3001")
	log.Fatal(http.ListenAndServe("localhost:3001", newHandler(80*time.Millisecond)))
}

// newHandler serves the page and the answers, a token each pause.
func newHandler(pause time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("POST /answer", func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
			http.Error(w, "the question is not JSON: "+err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, r, q, pause)
	})
	return mux
}

func answer(w http.ResponseWriter, r *http.Request, q question, pause time.Duration) {
	stream, err := sse.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer stream.Close()
	for text := range think(q.Prompt) {
		select {
		case <-stream.Context().Done():
			return // the reader has gone: a model would stop thinking here
		case <-time.After(pause):
		}
		if err := stream.SendJSON(sse.Event{}, token{text}); err != nil {
			return
		}
		if q.Cut && strings.HasSuffix(text, "but ") {
			// The way to break off a response: returning would end it as if
			// all had been said.
			stream.Close()
			panic(http.ErrAbortHandler)
		}
	}
	_ = stream.Send(done) // an error says that the reader has gone, now
}

// think is the model.
func think(prompt string) iter.Seq[string] {
	return strings.SplitAfterSeq(fmt.Sprintf("You asked “%s”. I am not a model, but I "+
		"can stream:\nevery word you see is an event, spaces and line breaks are\n"+
		"kept, and you will know if the end is missing. 🌊", prompt), " ")
}
