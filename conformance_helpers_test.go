package sse_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vector is one case of testdata/conformance, whose README explains them.
type vector struct {
	Name, Source, Group, What string

	BrowserOnly  bool // cannot be run against a client that is not a browser
	CallerCloses bool // the caller stops by itself: Expect.CloseAt
	Response     *vectorResponse
	Then         []vectorResponse // to later requests; the last one is repeated
	Expect       vectorExpect
}

// responses are the answers to all requests, in order.
func (v *vector) responses() []vectorResponse {
	if v.Response == nil {
		return nil
	}
	return append([]vectorResponse{*v.Response}, v.Then...)
}

// vectorResponse is what the server answers.
type vectorResponse struct {
	Status   int
	Headers  map[string]string // "{{SELF}}" in one is the server's own address
	Body     []byte
	Chunks   [][]byte // the body, to be written one by one
	DelayMs  int      // before the headers
	KeepOpen bool     // the response does not end
}

// vectorExpect is what must be seen. Nil and empty: the case does not say.
type vectorExpect struct {
	Events             []vectorEvent
	Outcome            string // reconnect, fatal, end, open, cancelled, construct-error
	Requests           []vectorRequest
	RequestCount       int
	ReconnectionTimeMs *int
	ReconnectionTime   any // a float64 (ms), or "initial"
	LastEventID        *string
	Error              bool
	Errors             []string // the state at each error event
	Open               bool
	ReadyState         string
	States             []string
	CloseAt            string // when the caller stops: connecting, open
	URL                string // that cannot be asked
	Preflight          *bool
	Note               string
}

type vectorEvent struct{ Type, Data, LastEventID string }

// vectorRequest is what one request must, and must not, have.
type vectorRequest struct {
	Method  string
	Headers map[string]string
	Absent  []string
}

// loadVectors returns all cases.
func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	file, err := os.Open(filepath.Join("testdata", "conformance", "wpt-vectors.json"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields() // a case must not say what nobody checks
	var vectors []vector
	if err := decoder.Decode(&vectors); err != nil {
		tb.Fatal(err)
	}
	return vectors
}
