package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/sse-go/sse"
)

// headerFlag collects the headers of -H 'NAME: VALUE'.
type headerFlag struct{ header http.Header }

func (f *headerFlag) String() string { return "" }
func (f *headerFlag) isRepeatable()  {}

func (f *headerFlag) isConfidential() {}

// Set implements [flag.Value]. Its errors contain no part of text.
func (f *headerFlag) Set(text string) error {
	name, value, found := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found:
		return errors.New("must be 'NAME: VALUE'")
	case !isToken(name):
		return errors.New("must begin with a valid header name")
	case strings.ContainsAny(value, "\r\n\x00"):
		return errors.New("must be one line without NUL")
	}
	if f.header == nil {
		f.header = http.Header{}
	}
	f.header.Add(name, value)
	return nil
}

// isToken reports whether text is a valid header name or method.
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

// readData returns the request body for the value of -d: the contents of the
// file after "@", stdin for "@-", otherwise the value itself.
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
			hint: "-d @FILE sends the contents of FILE; -d TEXT sends TEXT",
		}
	}
	return body, nil
}

// setRequest sets the client's method, headers, body and last event ID. It reads the
// body once, so that a repeated request has the same body.
func (o *listenOptions) setRequest(client *sse.Client, stdin io.Reader) error {
	header := o.header.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if err := o.key.addTo(header); err != nil {
		return err
	}
	client.Header, client.Method = header, o.method
	if o.hasData {
		body, err := readData(o.data, stdin)
		if err != nil {
			return err
		}
		client.Body = body
		if client.Method == "" {
			client.Method = http.MethodPost
		}
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", guessType(body))
		}
	}
	client.LastEventID = o.lastEventID
	// net/http ignores a Host header and sends the Host field of the request.
	if host := header.Get("Host"); host != "" {
		header.Del("Host")
		client.Prepare = func(r *http.Request) error { r.Host = host; return nil }
	}
	return nil
}

// guessType returns the Content-Type of a body if -H does not set one: JSON for
// an object or an array, otherwise a form, as in curl.
func guessType(body []byte) string {
	text := bytes.TrimSpace(body)
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text) {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// resendFlag says when a request other than GET is repeated.
type resendFlag string

// The values of resendFlag.
const (
	resendNever   resendFlag = "never"
	resendRefused resendFlag = "refused" // if the server has not processed the request
	resendAlways  resendFlag = "always"  // even if the server may then process it twice
)

func (f *resendFlag) String() string { return string(*f) }

// Set implements [flag.Value].
func (f *resendFlag) Set(value string) error {
	switch v := resendFlag(value); v {
	case resendNever, resendRefused, resendAlways:
		*f = v
		return nil
	}
	return errors.New("must be never, refused or always")
}

// allows reports whether a request may be repeated. If refused is true, the server has
// not processed the request. The method is for [sse.Client.Resend].
func (f resendFlag) allows(refused bool) bool {
	return f == resendAlways || f == resendRefused && refused
}
