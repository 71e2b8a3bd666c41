package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	donovanhide "github.com/donovanhide/eventsource"
	gincontrib "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	ogen "github.com/ogen-go/ogen/sse"
	"github.com/openai/openai-go/v3/packages/ssestream"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/sse-go/sse"
)

// bufferSize is the limit for the size of an event or a line, in bytes, for peers
// whose limit can be set. It suffices for the largest workload. The fixed limits of
// the other peers suffice too.
const bufferSize = 2 << 20

// decoder is a decoder of one library.
type decoder struct {
	name    string
	module  string
	setting string // how this program calls it, and where the library documents it

	// decode reads r to its end. It returns the number of events and the total size
	// of their data in bytes. The caller compares both with the expected values.
	decode func(r io.Reader) (events, size int, err error)

	partial bool // the decoder does less work, because it does not report IDs
}

var sseDecoders = []decoder{
	{"sse, Next", "", "`sse.NewDecoder(r, nil)`", func(r io.Reader) (n, size int, err error) {
		d := sse.NewDecoder(r, nil)
		for {
			event, err := d.Next()
			if err == io.EOF {
				return n, size, nil
			}
			if err != nil {
				return n, size, err
			}
			n++
			size += len(event.Data)
		}
	}, false},
	{"sse, Events", "", "`sse.NewDecoder(r, nil)`", func(r io.Reader) (n, size int, err error) {
		for event, err := range sse.NewDecoder(r, nil).Events() {
			if err != nil {
				return n, size, err
			}
			n++
			size += len(event.Data)
		}
		return n, size, nil
	}, false},
}

// upperBound copies the stream and searches for each line end. Every decoder must do
// at least this work, so no decoder can be faster.
var upperBound = decoder{"upper bound", "", "a copy and `bytes.IndexByte`",
	func(r io.Reader) (n, size int, err error) {
		buf := make([]byte, 64<<10)
		ended := true // whether the last byte was a line end
		for {
			k, err := r.Read(buf)
			if err == io.EOF {
				return n, size, nil
			}
			for rest := buf[:k]; len(rest) > 0; {
				i := bytes.IndexByte(rest, '\n')
				if i < 0 {
					size += len(rest)
					ended = false
					break
				}
				if i == 0 && ended {
					n++
				}
				size += i
				ended = true
				rest = rest[i+1:]
			}
		}
	}, false}

var decodePeers = []decoder{
	{"tmaxmax", "github.com/tmaxmax/go-sse",
		"`Read(r, &ReadConfig{MaxEventSize: 2<<20})`; event.go:22–32, default 64 KiB",
		func(r io.Reader) (n, size int, err error) {
			config := &tmaxmax.ReadConfig{MaxEventSize: bufferSize}
			for event, err := range tmaxmax.Read(r, config) {
				if err != nil {
					return n, size, err
				}
				n++
				size += len(event.Data)
			}
			return n, size, nil
		}, false},
	{"r3labs", "github.com/r3labs/sse/v2",
		"`NewClient(url, ClientMaxBufferSize(2<<20)).SubscribeRaw`, in-memory transport; client.go:29",
		decodeR3labs, false},
	{"launchdarkly", "github.com/launchdarkly/eventsource",
		"`NewDecoder(r).Decode`; decoder.go:90",
		func(r io.Reader) (int, int, error) {
			d := launchdarkly.NewDecoder(r)
			return drain(func() (interface{ Data() string }, error) { return d.Decode() })
		}, false},
	{"ogen", "github.com/ogen-go/ogen",
		"`sse.NewDecoder(r, 2<<20, 0, \"\", nil)`: reuses the line buffer, no limit; " +
			"sse/decoder.go:84–95",
		func(r io.Reader) (n, size int, err error) {
			d := ogen.NewDecoder(r, bufferSize, 0, "", nil)
			for {
				event, err := d.Decode()
				if err == io.EOF {
					return n, size, nil
				}
				if err != nil {
					return n, size, err
				}
				n++
				size += len(event.Data)
			}
		}, false},
	{"openai-go", "github.com/openai/openai-go/v3",
		"`ssestream.NewDecoder(response)`, limit fixed at 32 MiB; ssestream.go:44",
		func(r io.Reader) (n, size int, err error) {
			d := ssestream.NewDecoder(respond(r))
			for d.Next() {
				n++
				size += len(d.Event().Data) - 1 // openai-go leaves an LF at the end of the data
			}
			return n, size, d.Err()
		}, true},
	{"donovanhide", "github.com/donovanhide/eventsource",
		"`NewDecoder(r).Decode`; decoder.go:27",
		func(r io.Reader) (int, int, error) {
			d := donovanhide.NewDecoder(r)
			return drain(func() (interface{ Data() string }, error) { return d.Decode() })
		}, false},
	{"gin-contrib", "github.com/gin-contrib/sse",
		"`Decode(r)`, the whole stream at once; sse-decoder.go:16",
		func(r io.Reader) (n, size int, err error) {
			events, err := gincontrib.Decode(r)
			for _, event := range events {
				n++
				size += len(event.Data.(string))
			}
			return n, size, err
		}, false},
}

// drain calls next until the end of the stream.
func drain(next func() (interface{ Data() string }, error)) (n, size int, err error) {
	for {
		event, err := next()
		if err == io.EOF {
			return n, size, nil
		}
		if err != nil {
			return n, size, err
		}
		n++
		size += len(event.Data())
	}
}

// decodeR3labs uses the client, because only the client parses fields. The reader
// that r3labs exports only splits the stream into events.
func decodeR3labs(r io.Reader) (n, size int, err error) {
	client := r3labs.NewClient("http://peer.invalid/", r3labs.ClientMaxBufferSize(bufferSize))
	client.Connection = &http.Client{Transport: transport{r}}
	err = client.SubscribeRawWithContext(context.Background(), func(event *r3labs.Event) {
		n++
		size += len(event.Data)
	})
	return n, size, err
}

// transport answers every request with the same body, without a network.
type transport struct{ body io.Reader }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		return nil, errors.New("a subscription has no body")
	}
	response := respond(t.body)
	response.Request = req
	return response, nil
}

func respond(r io.Reader) *http.Response {
	return &http.Response{
		Status:     "200 OK",
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{"Content-Type": {"text/event-stream"}},
		Body:       io.NopCloser(r),
	}
}
