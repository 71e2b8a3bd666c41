package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/sse-go/sse"
)

// headerFlag collects -H 'Name: value'.
type headerFlag struct{ header http.Header }

func (f *headerFlag) String() string { return "" }
func (f *headerFlag) repeats()       {}
func (f *headerFlag) Set(text string) error {
	name, value, found := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found:
		return fmt.Errorf("a header is 'Name: value'")
	case !isToken(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case strings.ContainsAny(value, "\r\n\x00"):
		return fmt.Errorf("a header has one line")
	}
	if f.header == nil {
		f.header = http.Header{}
	}
	f.header.Add(name, value)
	return nil
}

// isToken reports whether text may be a header's name or a method.
// RFC 9110 5.6.2: token.
func isToken(text string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for _, r := range text {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z' && r < 0x80
		if !letter && (r < '0' || r > '9') && !strings.ContainsRune(marks, r) {
			return false
		}
	}
	return text != ""
}

// readData returns the body that -d names: @file, @- for stdin, or itself.
func readData(data string, stdin io.Reader) ([]byte, error) {
	name, isFile := strings.CutPrefix(data, "@")
	switch {
	case !isFile:
		return []byte(data), nil
	case name == "-":
		body, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot read stdin: %w", err)
		}
		return body, nil
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, &failure{
			message: fmt.Sprintf("cannot read the data: %v", err), code: exitFailed,
			hint: "-d @name sends the file name, -d text the text",
		}
	}
	return body, nil
}

// setRequest puts method, headers and body into the client. The body is read
// once, here, so that a request that is sent again is the same request.
func (o *listenOptions) setRequest(client *sse.Client, stdin io.Reader) error {
	header := o.header.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	client.Header, client.Method = header, o.method
	if o.hasData {
		body, err := readData(o.data, stdin)
		if err != nil {
			return err
		}
		client.GetBody = func() (io.Reader, error) { return bytes.NewReader(body), nil }
		if client.Method == "" {
			client.Method = http.MethodPost
		}
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", guessType(body))
		}
	}
	client.LastEventID = o.lastEventID
	// net/http sends the host that is in the request, never one in a header.
	if host := header.Get("Host"); host != "" {
		header.Del("Host")
		client.Prepare = func(r *http.Request) error { r.Host = host; return nil }
	}
	return nil
}

// guessType returns the Content-Type of data that -H says nothing about: JSON
// if it is an object or an array, otherwise a form, as for curl.
func guessType(body []byte) string {
	text := bytes.TrimSpace(body)
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text) {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// tee is a RoundTripper that also writes the bytes of every event stream, as
// they come, for --raw. An answer that is no stream is left alone: it is told
// on stderr.
type tee struct {
	base  http.RoundTripper
	write func([]byte) error
}

func (t *tee) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind == "text/event-stream" {
		response.Body = &teeBody{ReadCloser: response.Body, write: t.write}
	}
	return response, nil
}

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
