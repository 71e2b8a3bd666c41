package main

import (
	"fmt"
	"testing"
	"time"
)

func TestQuantities(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "0s": 0, "": -1, "d": -1, "7": -1, "-1h": -1, "1.5d": -1, "soon": -1,
	} {
		f := ageFlag(-1)
		err := f.Set(text)
		if text == "" {
			continue // which no flag has: it is as if it were not given
		}
		if time.Duration(f) != want || (err != nil) != (want < 0) {
			t.Errorf("the age %q is %v, %v, want %v", text, time.Duration(f), err, want)
		}
	}
	for text, want := range map[string]int64{
		"0": 0, "1024": 1024, "1KiB": 1024, "1k": 1024, "100MB": 100 << 20, "2GiB": 2 << 30,
		"1TiB": 1 << 40, "-1": -1, "x": -1, "1.5G": -1, "9999999999TiB": -1,
	} {
		f := bytesFlag(-1)
		err := f.Set(text)
		if int64(f) != want || (err != nil) != (want < 0) {
			t.Errorf("the size %q is %v, %v, want %v", text, int64(f), err, want)
		}
	}
}

func TestKeep(t *testing.T) {
	var f keepFlag
	if err := f.Set("room/* age=7d events=10 bytes=1MiB"); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(f), "[{room/* 168h0m0s 10 1048576}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, text := range []string{"", "room/*", "room* age=1d", "a age=x", "a events=0", "a bytes=x", "a size=1"} {
		if err := f.Set(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestDataDir(t *testing.T) {
	if windows {
		t.Skip("the rules are others on Windows")
	}
	env := map[string]string{"STATE_DIRECTORY": "/var/lib/sse:/other", "HOME": "/home/me"}
	get := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	if got := dataDir(get); got != "/var/lib/sse" {
		t.Errorf("under systemd: %s", got)
	}
	delete(env, "STATE_DIRECTORY")
	if got := dataDir(get); got != "/home/me/.local/share/sse" && got != "/home/me/Library/Application Support/sse" {
		t.Errorf("for a person: %s", got)
	}
	delete(env, "HOME")
	if got := dataDir(get); got != "sse-data" {
		t.Errorf("without a home: %s", got)
	}
}
