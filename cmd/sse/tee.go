package main

import (
	"io"
	"mime"
	"net/http"
)

// teeTransport is a RoundTripper for --raw. It passes the bytes of each event stream to
// write as they arrive. It does not call write for other responses, because sse listen
// reports such a response on stderr.
type teeTransport struct {
	base  http.RoundTripper
	write func([]byte) error
}

// RoundTrip implements [http.RoundTripper].
func (t *teeTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if mediaType == "text/event-stream" {
		response.Body = &teeBody{ReadCloser: response.Body, write: t.write}
	}
	return response, nil
}

// teeBody is a response body that calls write with the bytes that are read from
// it.
type teeBody struct {
	io.ReadCloser
	write func([]byte) error
}

func (b *teeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if err := b.write(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
