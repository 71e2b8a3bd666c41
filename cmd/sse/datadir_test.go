package main

import (
	"runtime"
	"testing"
)

func TestDataDir(t *testing.T) {
	if onWindows {
		t.Skip("Windows has other rules")
	}
	env := map[string]string{"STATE_DIRECTORY": "/var/lib/sse:/other", "HOME": "/home/me"}
	get := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	if got := dataDir(get); got != "/var/lib/sse" {
		t.Errorf("under systemd: got %s, want /var/lib/sse", got)
	}
	delete(env, "STATE_DIRECTORY")
	want := "/home/me/.local/share/sse"
	if runtime.GOOS == "darwin" {
		want = "/home/me/Library/Application Support/sse"
	}
	if got := dataDir(get); got != want {
		t.Errorf("with a home directory: got %s, want %s", got, want)
	}
	delete(env, "HOME")
	if got := dataDir(get); got != "sse-data" {
		t.Errorf("without a home directory: got %s, want sse-data", got)
	}
}
