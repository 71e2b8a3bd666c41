package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sse-go/sse"
)

func TestHeaderFlag(t *testing.T) {
	var f headerFlag
	for _, text := range []string{"Authorization: Bearer a:b", "x-empty:", "X-Two:1", "X-Two: 2"} {
		if err := f.Set(text); err != nil {
			t.Errorf("Set(%q): %v", text, err)
		}
	}
	want := http.Header{"Authorization": {"Bearer a:b"}, "X-Empty": {""}, "X-Two": {"1", "2"}}
	if got := fmt.Sprint(f.header); got != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, text := range []string{
		"", "name", ": value", "na me: value", "näme: value", "a: b\nc: d",
	} {
		if err := f.Set(text); err == nil {
			t.Errorf("Set(%q) is no error", text)
		}
	}
}

func TestGuessType(t *testing.T) {
	const form, json = "application/x-www-form-urlencoded", "application/json"
	for body, want := range map[string]string{
		"": form, "a=b": form, "hello": form, "3": form, `"text"`: form, "{a}": form,
		"{}": json, " [1, 2]\n": json, `{"a": {"b": 1}}`: json,
	} {
		if got := guessType([]byte(body)); got != want {
			t.Errorf("guessType(%q) = %s, want %s", body, got, want)
		}
	}
}

// The body is read once, so that it can be sent again, also from stdin.
func TestBodyFromStdinCanBeSentAgain(t *testing.T) {
	var client sse.Client
	o := listenOptions{data: "@-", hasData: true}
	if err := o.setRequest(&client, strings.NewReader("from stdin")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		body, err := client.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(body); string(got) != "from stdin" {
			t.Errorf("got %q", got)
		}
	}
	if client.Method != http.MethodPost {
		t.Errorf("method %q, want POST", client.Method)
	}
}

// Every error of the network is told in a few words, without the request
// that the person has typed.
func TestReason(t *testing.T) {
	for _, tt := range []struct {
		err          error
		reason, hint string
	}{
		{nil, "the server ended it", ""},
		{
			refused, "connection refused",
			"nothing listens on localhost:3000: start the server, or check the port",
		},
		{fmt.Errorf("sse: reading the stream: %w", io.ErrUnexpectedEOF), "connection cut", ""},
		{
			&net.DNSError{Err: "no such host", Name: "exmaple.com", IsNotFound: true},
			"no such host: exmaple.com", "check the spelling of the host",
		},
		{
			&net.DNSError{Err: "no such host", Name: "news", IsNotFound: true},
			"no such host: news", "check the spelling of the host; on this machine: :3000/news",
		},
		{fmt.Errorf("sse: no byte for 5s: %w", os.ErrDeadlineExceeded), "no byte for 5s", ""},
		{
			&sse.ResponseError{StatusCode: 503, Status: "503 Service Unavailable"},
			"503 Service Unavailable", "the server is there but cannot serve just now",
		},
		{
			x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a"}}, Host: "b"},
			"x509: certificate is valid for a, not b", "the certificate is for another name than b",
		},
		{
			x509.CertificateInvalidError{
				Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: "long ago",
			},
			"x509: certificate has expired or is not yet valid: long ago",
			"the certificate is out of date, or this machine's clock is wrong",
		},
	} {
		if got := reason(tt.err); got != tt.reason {
			t.Errorf("reason(%v) = %q, want %q", tt.err, got, tt.reason)
		}
		target, _ := parseURL(":3000")
		if tt.err != nil {
			if got := advice(tt.err, target); got != tt.hint {
				t.Errorf("advice(%v) = %q, want %q", tt.err, got, tt.hint)
			}
		}
	}
}

// What a server sends cannot write to the terminal.
func TestServerCannotForgeOutput(t *testing.T) {
	u, _, stderr := testUI(false, false)
	target, _ := parseURL(":3000")
	u.fail(explain(&sse.ResponseError{
		StatusCode: 404, Status: "404 \x1b]0;title\x07",
		Body: []byte("\x1b[2J\xff gone\r\nsse: connected\n"),
	}, target))
	u.say("", "comment: %s", "a\rsse: connected")
	want := "sse: 404 ␛]0;title␇: http://localhost:3000\n" +
		"sse: the server says: ␛[2J\ufffd gone …\n" +
		"sse: hint: check the path: localhost:3000 answers, but not at /\n" +
		"sse: comment: a␍sse: connected\n"
	if got := stderr.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
