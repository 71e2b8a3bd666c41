package main

import (
	"path/filepath"
	"runtime"
	"strings"
)

// dataDir returns the directory in which programs on this operating system
// store data that must persist.
func dataDir(env lookupEnv) string {
	get := func(name string) string { value, _ := env(name); return value }
	home := get("HOME")
	switch {
	case get("STATE_DIRECTORY") != "": // systemd, StateDirectory=
		dir, _, _ := strings.Cut(get("STATE_DIRECTORY"), ":")
		return dir
	case onWindows && get("LocalAppData") != "":
		return filepath.Join(get("LocalAppData"), "sse")
	case runtime.GOOS == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support", "sse")
	case filepath.IsAbs(get("XDG_DATA_HOME")):
		return filepath.Join(get("XDG_DATA_HOME"), "sse")
	case home != "":
		return filepath.Join(home, ".local", "share", "sse")
	}
	return "sse-data"
}
