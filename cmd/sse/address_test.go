package main

import (
	"errors"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{":3000", "http://localhost:3000"},
		{":3000/handshake", "http://localhost:3000/handshake"},
		{":3000?topic=a", "http://localhost:3000?topic=a"},
		{"localhost:3000/handshake", "http://localhost:3000/handshake"},
		{"localhost/x", "http://localhost/x"},
		{"example.com", "http://example.com"},
		{"127.0.0.1:80/x", "http://127.0.0.1:80/x"},
		{"[::1]:3000/x", "http://[::1]:3000/x"},
		{"http://example.com/x", "http://example.com/x"},
		{"https://example.com:8443/a%2Fb?q=1", "https://example.com:8443/a%2Fb?q=1"},
		{"HTTPS://Example.com/", "https://Example.com/"},
		{"http://:3000/x", "http://localhost:3000/x"},
		{"http://me:secret@host/x", "http://me:secret@host/x"},
		{":3000/room/*", "http://localhost:3000/room/*"},
		{":3000/a b", "http://localhost:3000/a%20b"},
		{":3000/x#part", "http://localhost:3000/x"},
		// The "://" of a query is not the URL's.
		{"localhost:3000/x?of=http://example.com", "http://localhost:3000/x?of=http://example.com"},
		{":3000/http://x", "http://localhost:3000/http://x"},
	} {
		u, err := parseURL(tt.text)
		if err != nil {
			t.Errorf("parseURL(%q): %v", tt.text, err)
		} else if got := u.String(); got != tt.want {
			t.Errorf("parseURL(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, tt := range []struct{ text, message, hint string }{
		{"", "the URL is empty", "try sse listen :3000/handshake"},
		{"3000", "3000 has no host", "on this machine: :3000"},
		{"3000/x", "3000/x has no host", "on this machine: :3000/x"},
		{"/x", "/x has no host", "if it is on this machine, say the port: :3000/x"},
		{
			"ws://host/x", "cannot listen to ws://host/x",
			"events travel by http or https; ws is a WebSocket",
		},
		{"ftp://host", "cannot listen to ftp://host", "events travel by http or https"},
		{"http:///x", "http:///x has no host", "a URL looks like https://host/path"},
		{"::1", "::1 has no port", "put an IPv6 address in brackets: [::1]:3000/path"},
		{"host:", "host: has no port after the colon", "a port is a number: :3000/path"},
		{":/x", ":/x has no port after the colon", "a port is a number: :3000/path"},
		{
			"http:/host/x", "http:/host/x has no port after the colon",
			"a port is a number: :3000/path",
		},
		{":70000/x", ":70000/x has no valid port", "a port is a number from 1 to 65535"},
		{":0/x", ":0/x has no valid port", "a port is a number from 1 to 65535"},
		{
			":port/x", `:port/x is not a URL: invalid port ":port" after host`,
			"a URL looks like :3000/path, host:port/path or https://host/path",
		},
		{
			"http://a b/", `http://a b/ is not a URL: invalid character " " in host name`,
			"a URL looks like :3000/path, host:port/path or https://host/path",
		},
	} {
		u, err := parseURL(tt.text)
		var f *failure
		if !errors.As(err, &f) {
			t.Errorf("parseURL(%q) = %v, %v; want a failure", tt.text, u, err)
			continue
		}
		if f.message != tt.message || f.hint != tt.hint || f.code != exitUsage {
			t.Errorf("parseURL(%q) = %q, hint %q, code %d\nwant %q, hint %q, code 2",
				tt.text, f.message, f.hint, f.code, tt.message, tt.hint)
		}
	}
}
