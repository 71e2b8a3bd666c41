package main

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// parseURL reads a URL as a person types it: ":3000/x" is on this machine, and
// without a scheme it is http, as for curl. The error is a *failure.
func parseURL(text string) (*url.URL, error) {
	if err := checkSpelling(text); err != nil {
		return nil, err
	}
	full := text
	if !hasScheme(text) {
		if strings.HasPrefix(text, ":") {
			full = "localhost" + text
		}
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		// url.Error repeats the text and "parse"; what is inside is enough.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, misuse("a URL looks like :3000/path, host:port/path or https://host/path",
			"%s is not a URL: %v", text, err)
	}
	return checkURL(text, u)
}

// hasScheme reports whether text begins with "scheme://". The "://" may also
// stand in a query, and url.Parse takes the host of "localhost:3000" for a
// scheme.
func hasScheme(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	return found && scheme != "" && !strings.ContainsAny(scheme, ":/?#[]@")
}

// checkSpelling finds what url.Parse would accept and nobody means.
func checkSpelling(text string) error {
	_, notPort := strconv.Atoi(strings.SplitN(text, "/", 2)[0])
	switch {
	case text == "":
		return misuse("try sse listen :3000/handshake", "the URL is empty")
	case strings.HasPrefix(text, "/"):
		return misuse("if it is on this machine, say the port: :3000"+text, "%s has no host", text)
	case notPort == nil:
		return misuse("on this machine: :"+text, "%s has no host", text)
	case net.ParseIP(text) != nil && strings.Contains(text, ":"):
		return misuse("put an IPv6 address in brackets: ["+text+"]:3000/path",
			"%s has no port", text)
	}
	return nil
}

// checkURL finds what no request could be sent to.
func checkURL(text string, u *url.URL) (*url.URL, error) {
	u.Scheme = strings.ToLower(u.Scheme)
	switch port, err := strconv.ParseUint(u.Port(), 10, 16); {
	case u.Scheme == "ws" || u.Scheme == "wss":
		return nil, misuse("events travel by http or https; "+u.Scheme+" is a WebSocket",
			"cannot listen to %s", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, misuse("events travel by http or https", "cannot listen to %s", text)
	case u.Hostname() == "" && u.Port() != "":
		u.Host = "localhost" + u.Host
	case u.Hostname() == "":
		return nil, misuse("a URL looks like https://host/path", "%s has no host", text)
	case strings.HasSuffix(u.Host, ":"):
		return nil, misuse("a port is a number: :3000/path", "%s has no port after the colon", text)
	case u.Port() != "" && (err != nil || port == 0):
		return nil, misuse("a port is a number from 1 to 65535", "%s has no valid port", text)
	}
	// A fragment is the client's own business and never sent.
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}
