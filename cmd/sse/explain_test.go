package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/sse-go/sse"
)

// The reason for a network error is short and does not repeat the request.
func TestReasonAndHint(t *testing.T) {
	for _, tt := range []struct {
		err          error
		reason, hint string
	}{
		{nil, "the server ended the stream", ""},
		{
			errRefused, "connection refused",
			"nothing listens on localhost:3000: start the server, or check the port",
		},
		{fmt.Errorf("sse: reading the stream: %w", io.ErrUnexpectedEOF), "connection cut", ""},
		{
			&net.DNSError{Err: "no such host", Name: "exmaple.com", IsNotFound: true},
			"no such host: exmaple.com", "check the spelling of the host",
		},
		{
			&net.DNSError{Err: "no such host", Name: "news", IsNotFound: true},
			"no such host: news",
			"check the spelling of the host; for a server on this machine, use :3000/news",
		},
		{fmt.Errorf("sse: no byte for 5s: %w", os.ErrDeadlineExceeded), "no byte for 5s", ""},
		{
			&sse.ResponseError{StatusCode: 503, Status: "503 Service Unavailable"},
			"503 Service Unavailable",
			"the server is reachable, but it cannot serve the request now",
		},
		{
			fmt.Errorf("sse: %w", tls.RecordHeaderError{Msg: "first record is not TLS"}),
			"tls: first record is not TLS",
			"the server does not use TLS: use http://localhost:3000",
		},
		{
			http.ErrSchemeMismatch, "http: server gave HTTP response to HTTPS client",
			"the server does not use TLS: use http://localhost:3000",
		},
		{
			x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a"}}, Host: "b"},
			"x509: certificate is valid for a, not b",
			"the certificate must be valid for the host b",
		},
		{
			x509.CertificateInvalidError{
				Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: "long ago",
			},
			"x509: certificate has expired or is not yet valid: long ago",
			"the certificate has expired or is not valid yet, or this machine's clock is wrong",
		},
	} {
		if got := reason(tt.err); got != tt.reason {
			t.Errorf("reason(%v) = %q, want %q", tt.err, got, tt.reason)
		}
		target, _ := parseURL(":3000")
		if tt.err != nil {
			if got := hintFor(tt.err, target); got != tt.hint {
				t.Errorf("hintFor(%v) = %q, want %q", tt.err, got, tt.hint)
			}
		}
	}
}
