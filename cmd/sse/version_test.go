package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestFormatVersion(t *testing.T) {
	platform := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	released := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.0"},
		Deps: []*debug.Module{
			{Path: libraryPath, Version: "v1.3.1"}, {Path: "other", Version: "v0.1.0"},
		},
	}
	checkout := &debug.BuildInfo{
		Main: debug.Module{Version: "(devel)"},
		Deps: []*debug.Module{{Path: libraryPath, Version: "(devel)"}},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	for _, tt := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{released, "sse v1.2.0 (package sse v1.3.1, " + platform + ")\n"},
		{checkout, "sse (devel) (" + platform + ", commit 0123456789ab with changes)\n"},
		{&debug.BuildInfo{}, "sse (devel) (" + platform + ")\n"},
		{nil, "sse unknown (" + platform + ")\n"},
	} {
		if got := formatVersion(tt.info); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
