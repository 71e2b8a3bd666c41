// Command llm streams the answer to a question to a page, as language models do. The
// page shows the answer word by word. Start the program with go run . and open
// http://localhost:3001.
//
// The last event of a complete answer is always [DONE]. So the page, and any other
// client, can distinguish a complete answer from a truncated answer.
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

	// Cut makes the server drop the connection in the middle of the answer.
	Cut bool `json:"cut"`
}

// token is the data of every event except the last.
type token struct {
	Text string `json:"text"`
}

// done is the last event of a complete answer.
var done = sse.Event{Data: "[DONE]"}

func main() {
	log.Print("open http://localhost:3001")
	log.Fatal(http.ListenAndServe("localhost:3001", newHandler(80*time.Millisecond)))
}

// newHandler returns the handler of the page and the answers. An answer pauses before
// each token, as a model does.
func newHandler(pause time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("POST /answer", func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
			http.Error(w, "the question must be JSON: "+err.Error(), http.StatusBadRequest)
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
			return // the client left: a real model would stop working here
		case <-time.After(pause):
		}
		if err := stream.SendJSON(sse.Event{}, token{text}); err != nil {
			return
		}
		if q.Cut && strings.HasSuffix(text, "but ") {
			// The panic makes net/http cut the connection. After a return, net/http
			// would end the response properly, as after a complete answer.
			stream.Abort()
			panic(http.ErrAbortHandler)
		}
	}
	_ = stream.Send(done) // an error means that the client has left
}

// think returns the tokens of an answer. It stands for a model.
func think(prompt string) iter.Seq[string] {
	return strings.SplitAfterSeq(fmt.Sprintf("You asked “%s”. I am not a model, but I "+
		"can stream:\nevery word you see is an event, spaces and line breaks are\n"+
		"kept, and you will know if the end is missing. 🌊", prompt), " ")
}
