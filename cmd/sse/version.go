package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// library is the module that does the work.
const library = "github.com/sse-go/sse"

// version is "sse version".
func version(_ context.Context, w *world, args []string) int {
	s := newSettings("version")
	operands, err := s.parse(args, w.env)
	switch {
	case errors.Is(err, errHelp):
		return w.ui.page("usage: sse version\n\nPrint the version of this command, " +
			"of package sse in it, and of Go.\n")
	case err != nil:
		return w.ui.fail(err)
	case len(operands) > 0:
		return w.ui.fail(misuse("", "sse version takes no argument: %s", operands[0]))
	}
	info, _ := debug.ReadBuildInfo()
	return w.ui.page(versionText(info))
}

// versionText says on one line which build this is. Info may be nil: a binary
// built without modules carries none.
func versionText(info *debug.BuildInfo) string {
	platform := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	if info == nil {
		return fmt.Sprintf("sse unknown (%s)\n", platform)
	}
	parts := []string{platform}
	for _, module := range info.Deps {
		// In the workspace both are (devel): nothing to tell apart.
		if module.Path == library && module.Version != info.Main.Version {
			parts = append([]string{"package sse " + module.Version}, parts...)
		}
	}
	if commit := commitOf(info); commit != "" {
		parts = append(parts, commit)
	}
	name := info.Main.Version
	if name == "" {
		name = "(devel)"
	}
	return fmt.Sprintf("sse %s (%s)\n", name, strings.Join(parts, ", "))
}

// commitOf returns the commit that the build is of, if it is known.
func commitOf(info *debug.BuildInfo) string {
	commit, modified := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = "commit " + setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = " with changes"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + modified
}
