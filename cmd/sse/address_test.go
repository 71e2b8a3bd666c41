package main

import (
	"errors"
	"strings"
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
		// These texts have no scheme: "://" is in the query or in the path.
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

func TestParseURLErrors(t *testing.T) {
	for _, tt := range []struct{ text, message, hint string }{
		{"", "URL must not be empty", "use a URL such as :3000/handshake"},
		{"3000", "URL 3000 must have a host", "for a server on this machine, use :3000"},
		{"3000/x", "URL 3000/x must have a host", "for a server on this machine, use :3000/x"},
		{
			"/x", "URL /x must have a host",
			"for a server on this machine, add its port: :3000/x",
		},
		{
			"ws://host/x", "URL ws://host/x must begin with http:// or https://",
			"Server-Sent Events use HTTP; ws is for WebSockets",
		},
		{"ftp://host", "URL ftp://host must begin with http:// or https://", ""},
		{"http:///x", "URL http:///x must have a host", "use a URL such as https://host/path"},
		{"::1", "URL ::1 must have a port", "put an IPv6 address in brackets: [::1]:3000/path"},
		{"host:", "URL host: must have a port after the colon", "use a URL such as :3000/path"},
		{":/x", "URL :/x must have a port after the colon", "use a URL such as :3000/path"},
		{
			"http:/host/x", "URL http:/host/x must have a port after the colon",
			"use a URL such as :3000/path",
		},
		{
			":70000/x", "URL :70000/x must have a port from 1 to 65535",
			"use a URL such as :3000/path",
		},
		{":0/x", "URL :0/x must have a port from 1 to 65535", "use a URL such as :3000/path"},
		{
			":port/x", `:port/x must be a valid URL: invalid port ":port" after host`,
			"use a URL such as :3000/path, host:port/path or https://host/path",
		},
		{
			"http://a b/", `http://a b/ must be a valid URL: invalid character " " in host name`,
			"use a URL such as :3000/path, host:port/path or https://host/path",
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

// No error contains the password of a URL, however malformed the URL is.
func TestParseURLErrorsHidePassword(t *testing.T) {
	for _, text := range []string{
		"ftp://me:secret@host/x", "ws://me:secret@host/x", "http://me:secret@/x",
		"http://me:secret@host:/x", "http://me:secret@host:70000/x", "http://me:secret@host:port/x",
		"http://me:secret@a b/", "http://me:secret%zz@host/", "http://me:s%secret@host/",
		"http://me:/secret@host/", "http://me:se secret@host/", "http://me:secret@@host:p/",
		"http:/me:secret@host/", "//me:secret@host/", "/me:secret@host/",
		"me:secret@host:port/x", "http://me:secret@[::1/", "http://me:\x01secret@host/",
		"ftp://me:secret:secret@host/", "http://me:secret@host%zz/", ":secret@host:port",
	} {
		_, err := parseURL(text)
		var f *failure
		if !errors.As(err, &f) {
			t.Errorf("parseURL(%q): got %v, want a failure", text, err)
		} else if all := f.message + f.hint + f.detail; strings.Contains(all, "secret") {
			t.Errorf("parseURL(%q) reveals the password: %s", text, all)
		}
	}
}
