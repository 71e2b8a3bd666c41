package main

import (
	"fmt"
	"testing"
)

func TestRetentionFlag(t *testing.T) {
	var f retentionFlag
	if err := f.Set("room/* age=7d events=10 bytes=1MiB"); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(f), "[{room/* 168h0m0s 10 1048576}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, text := range []string{
		"", "room/*", "room* age=1d", "a age=x", "a age=", "a bytes=", "a age=0s", "a age=0d events=1", "a bytes=0", "a events=0", "a bytes=x", "a size=1",
	} {
		if err := f.Set(text); err == nil {
			t.Errorf("Set(%q) = nil, want an error", text)
		}
	}
}
