package main

import (
	"path/filepath"
	"runtime"
	"strings"
)

// dataDir returns the default of the flag --data of sse serve. It is a directory
// in the place where programs on this operating system store their data. If the
// environment does not name such a place, it is sse-data in the current directory.
func dataDir(env lookupEnv) string {
	get := func(name string) string { value, _ := env(name); return value }
	home := get("HOME")
	switch {
	case get("STATE_DIRECTORY") != "": // set by systemd if a unit has StateDirectory=
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
