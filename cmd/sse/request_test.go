package main

import (
	"fmt"
	"net/http"
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
			t.Errorf("Set(%q) = nil, want an error", text)
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

// A body from stdin is stored, so that the client can send it again.
func TestBodyFromStdinIsRepeatable(t *testing.T) {
	var client sse.Client
	o := listenOptions{data: "@-", hasData: true}
	if err := o.setRequest(&client, strings.NewReader("from stdin")); err != nil {
		t.Fatal(err)
	}
	if got := string(client.Body); got != "from stdin" || client.GetBody != nil {
		t.Errorf("got %q, want \"from stdin\"", got)
	}
	if client.Method != http.MethodPost {
		t.Errorf("method %q, want POST", client.Method)
	}
}
