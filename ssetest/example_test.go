package ssetest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/ssetest"
)

// Events returns the events of a body that httptest.ResponseRecorder has recorded. Call
// it after the handler has returned.
func ExampleEvents() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer stream.Close()
		stream.Send(sse.Event{Type: "greeting", Data: "hello"})
	}
	recorder := httptest.NewRecorder()
	handler(recorder, httptest.NewRequest("GET", "/", nil))
	events, err := ssetest.Events(recorder.Body.Bytes())
	fmt.Println(events[0].Type, events[0].Data, err)
	// Output:
	// greeting hello <nil>
}
