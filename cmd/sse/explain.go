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
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// reason returns a short text that explains why a stream was lost or did not open.
// If the server ended the stream, err is nil.
func reason(err error) string {
	var (
		response *sse.ResponseError
		dns      *net.DNSError
		inner    *url.Error
	)
	switch {
	case err == nil:
		return "the server ended the stream"
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
		err = inner.Err // a url.Error would repeat the method and the URL
	}
	message := text.WithoutPrefix(err)
	return text.FirstLine(strings.TrimSuffix(message, ": "+os.ErrDeadlineExceeded.Error()), 200)
}

// explain returns the failure that reports err. Err has ended the stream of the URL
// target, and the client does not reconnect.
func explain(err error, target *url.URL) *failure {
	f := &failure{code: exitFailed, hint: hintFor(err, target)}
	var response *sse.ResponseError
	switch {
	case errors.As(err, &response) && response.StatusCode == http.StatusOK:
		f.message = "not an event stream: " + response.Reason
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

// quoteBody returns prefix and the first line of body, which is the body of a
// response that is not a stream. For an empty body, it returns "".
func quoteBody(prefix string, body []byte) string {
	line := text.FirstLine(strings.ToValidUTF8(string(body), "\ufffd"), 300)
	if line == "" {
		return ""
	}
	return prefix + line
}

// hintFor returns advice that may help to fix err, or "".
func hintFor(err error, target *url.URL) string {
	var (
		response *sse.ResponseError
		dns      *net.DNSError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &response):
		return statusHint(response, target)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on " + target.Host + ": start the server, or check the port"
	case errors.As(err, &dns) && dns.IsNotFound:
		return unknownHostHint(dns.Name)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "the server does not use TLS: use http://" + target.Host
	}
	return certificateHint(err)
}

// unknownHostHint returns advice for a host that does not exist. If its name has no
// dot, the user may have meant a path, for example :3000/news in place of news.
func unknownHostHint(name string) string {
	if strings.Contains(name, ".") {
		return "check the spelling of the host"
	}
	return "check the spelling of the host; for a server on this machine, use :3000/" + name
}

// certificateHint returns advice for an error of a server's certificate, or "".
func certificateHint(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
	)
	switch {
	case errors.As(err, &unknown) && (onWindows || runtime.GOOS == "darwin"):
		return "this machine does not trust the authority that signed the certificate: " +
			"add the authority to the certificate store"
	case errors.As(err, &unknown):
		return "this machine does not trust the authority that signed the certificate: " +
			"set SSL_CERT_FILE to the authority's certificate file"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet, or this machine's clock is wrong"
	case errors.As(err, &host):
		return "the certificate must be valid for the host " + host.Host
	}
	return ""
}

// statusHint returns advice for a response that is not a stream, or "".
func statusHint(response *sse.ResponseError, target *url.URL) string {
	switch code := response.StatusCode; {
	case code == http.StatusOK && strings.HasPrefix(response.Reason, "Content-Encoding"):
		return "turn off the compression of this path in the server, or in a proxy before it"
	case code == http.StatusOK:
		return "check the path: an event stream is served as text/event-stream"
	case code == http.StatusNoContent:
		return "status 204 means that the server will send no more events"
	case code == http.StatusBadRequest && strings.Contains(string(response.Body), "HTTPS server"):
		return "the server requires TLS: use https://" + target.Host
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "send the key of a hub with --key SECRET, or other credentials in a header, " +
			"for example -H 'Authorization: Basic …'"
	case code == http.StatusProxyAuthRequired:
		return "the proxy requires credentials: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Sprintf("check the path: the server at %s responds, but not to %s",
			target.Host, cmp.Or(target.EscapedPath(), "/"))
	case code == http.StatusMethodNotAllowed:
		if allow := response.Header.Get("Allow"); allow != "" {
			return "the server allows " + allow + ": choose a method with -X"
		}
		return "try another method, for example -X POST"
	case code == http.StatusUnsupportedMediaType:
		return "state the type of the data, for example -H 'Content-Type: text/plain'"
	case code >= 500, code == http.StatusTooManyRequests:
		return "the server is reachable, but it cannot serve the request now"
	}
	return ""
}
