package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/sse-go/sse"
)

// reason says in a few words why a stream was lost, or never came.
func reason(err error) string {
	var (
		response *sse.ResponseError
		dns      *net.DNSError
		inner    *url.Error
	)
	switch {
	case err == nil:
		return "the server ended it"
	case errors.As(err, &response):
		return response.Status
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host: " + dns.Name
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection cut"
	case errors.As(err, &inner):
		err = inner.Err // without the method and the URL again
	}
	text := strings.TrimPrefix(err.Error(), "sse: ")
	return shorten(strings.TrimSuffix(text, ": "+os.ErrDeadlineExceeded.Error()), 200)
}

// explain turns the error that ended a stream into one for a person.
func explain(err error, target *url.URL) *failure {
	f := &failure{code: exitFailed, hint: advice(err, target)}
	var response *sse.ResponseError
	switch {
	case errors.As(err, &response) && response.StatusCode == http.StatusOK:
		f.message = notAStream(response.Header.Get("Content-Type"))
		f.detail = quoteBody("the body begins: ", response.Body)
	case errors.As(err, &response):
		f.message = fmt.Sprintf("%s: %s", response.Status, target.Redacted())
		f.detail = quoteBody("the server says: ", response.Body)
	case errors.Is(err, sse.ErrTruncated):
		f.message = fmt.Sprintf("stream lost (%s)", reason(err))
	default:
		f.message = reason(err)
	}
	return f
}

func notAStream(contentType string) string {
	if contentType == "" {
		return "not an event stream: the answer has no Content-Type"
	}
	return "not an event stream: Content-Type is " + contentType + ", not text/event-stream"
}

// quoteBody shows the first line of what a server sent instead of a stream.
func quoteBody(prefix string, body []byte) string {
	line := shorten(strings.ToValidUTF8(string(body), "\ufffd"), 300)
	if line == "" {
		return ""
	}
	return prefix + line
}

// advice says what can be done about an error, or nothing.
func advice(err error, target *url.URL) string {
	var (
		response *sse.ResponseError
		dns      *net.DNSError
	)
	switch {
	case errors.As(err, &response):
		return statusAdvice(response, target)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on " + target.Host + ": start the server, or check the port"
	case errors.As(err, &dns) && dns.IsNotFound:
		return hostAdvice(dns.Name)
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS: use http://" + target.Host
	}
	return certificateAdvice(err)
}

// hostAdvice says what to do about a host that there is not. Who types a name without
// a dot may mean a path.
func hostAdvice(name string) string {
	if strings.Contains(name, ".") {
		return "check the spelling of the host"
	}
	return "check the spelling of the host; on this machine: :3000/" + name
}

// certificateAdvice says what is wrong with a server's certificate.
func certificateAdvice(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown) && (windows || runtime.GOOS == "darwin"):
		return "this machine does not know who signed the certificate: " +
			"add the authority to its certificate store"
	case errors.As(err, &unknown):
		return "this machine does not know who signed the certificate: " +
			"name the authority's file in SSL_CERT_FILE"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate is out of date, or this machine's clock is wrong"
	case errors.As(err, &host):
		return "the certificate is for another name than " + host.Host
	case errors.As(err, &record):
		return "the server does not speak TLS: use http://"
	}
	return ""
}

// statusAdvice says what to check after an answer that is no stream.
func statusAdvice(response *sse.ResponseError, target *url.URL) string {
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return "check the path: an event stream is served as text/event-stream"
	case code == http.StatusNoContent:
		return "204 is how a server tells a listener to stop: there is nothing to come"
	case code == http.StatusBadRequest && strings.Contains(string(response.Body), "HTTPS server"):
		return "the server speaks TLS: use https://" + target.Host
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "credentials go into a header: -H 'Authorization: Bearer …'"
	case code == http.StatusProxyAuthRequired:
		return "a proxy asks for credentials: see HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Sprintf("check the path: %s answers, but not at %s",
			target.Host, cmp.Or(target.EscapedPath(), "/"))
	case code == http.StatusMethodNotAllowed:
		if allow := response.Header.Get("Allow"); allow != "" {
			return "the server allows " + allow + ": say which with -X"
		}
		return "another method may do: -X POST"
	case code == http.StatusUnsupportedMediaType:
		return "say what -d sends: -H 'Content-Type: …'"
	case code >= 500, code == http.StatusTooManyRequests:
		return "the server is there but cannot serve just now"
	}
	return ""
}
