package main

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// parseURL parses a URL as people type it. If text begins with a colon, the host
// is localhost. If text has no scheme, the scheme is http, as in curl. The error
// is a *failure that does not contain the password of the URL.
func parseURL(text string) (*url.URL, error) {
	if err := checkText(withoutPassword(text)); err != nil {
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
		// The text of a url.Error contains the URL. The message below already
		// contains it, so the reason is only the inner error.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		reason := err.Error()
		if strings.Contains(text, "@") {
			// The reason may quote a part of the password.
			reason = "check the user, the password, the host and the port"
		}
		return nil, usageError("use a URL such as :3000/path, host:port/path or https://host/path",
			"%s must be a valid URL: %s", withoutPassword(text), reason)
	}
	return normalizeURL(withoutPassword(text), u)
}

// withoutPassword returns text, a URL as people type it, with xxxxx in place of
// its password. The password is the text from the first colon after the scheme to
// the last "@". withoutPassword does not parse the URL, because even the error for a
// URL that cannot be parsed must not contain the password.
func withoutPassword(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	start := 0
	if scheme, _, ok := strings.Cut(text[:at], "://"); ok {
		start = len(scheme) + len("://")
	}
	user, _, ok := strings.Cut(text[start:at], ":")
	if !ok {
		return text
	}
	return text[:start] + user + ":xxxxx" + text[at:]
}

// hasScheme reports whether text begins with "scheme://". A search for "://" alone
// is not enough, because a query may contain "://". url.Parse cannot be used
// either, because it takes the host in "localhost:3000" for a scheme.
func hasScheme(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	return found && scheme != "" && !strings.ContainsAny(scheme, ":/?#[]@")
}

// checkText returns an error for common mistakes that url.Parse accepts or reports
// less clearly, for example 3000/x in place of :3000/x.
func checkText(text string) error {
	_, err := strconv.Atoi(strings.SplitN(text, "/", 2)[0])
	beginsWithPort := err == nil
	switch {
	case text == "":
		return usageError("use a URL such as :3000/handshake", "URL must not be empty")
	case strings.HasPrefix(text, "/"):
		return usageError("for a server on this machine, add its port: :3000"+text,
			"URL %s must have a host", text)
	case beginsWithPort:
		return usageError("for a server on this machine, use :"+text,
			"URL %s must have a host", text)
	case net.ParseIP(text) != nil && strings.Contains(text, ":"):
		return usageError("put an IPv6 address in brackets: ["+text+"]:3000/path",
			"URL %s must have a port", text)
	}
	return nil
}

// normalizeURL returns u with a scheme in lower case and without a fragment. If u has
// a port and no host, the host becomes localhost. If no request can be sent to u,
// normalizeURL returns an error that contains text: the URL as the user typed it,
// except its password.
func normalizeURL(text string, u *url.URL) (*url.URL, error) {
	u.Scheme = strings.ToLower(u.Scheme)
	switch port, err := strconv.ParseUint(u.Port(), 10, 16); {
	case u.Scheme == "ws" || u.Scheme == "wss":
		return nil, usageError("Server-Sent Events use HTTP; "+u.Scheme+" is for WebSockets",
			"URL %s must begin with http:// or https://", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, usageError("", "URL %s must begin with http:// or https://", text)
	case u.Hostname() == "" && u.Port() != "":
		u.Host = "localhost" + u.Host
	case u.Hostname() == "":
		return nil, usageError("use a URL such as https://host/path", "URL %s must have a host", text)
	case strings.HasSuffix(u.Host, ":"):
		return nil, usageError("use a URL such as :3000/path",
			"URL %s must have a port after the colon", text)
	case u.Port() != "" && (err != nil || port == 0):
		return nil, usageError("use a URL such as :3000/path",
			"URL %s must have a port from 1 to 65535", text)
	}
	// A fragment is only for the client and is not part of a request.
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}
