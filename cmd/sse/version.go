package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// libraryPath is the module path of package sse, which this command uses.
const libraryPath = "github.com/sse-go/sse"

// version runs "sse version".
func version(_ context.Context, p *process, args []string) int {
	s := newSettings("version")
	operands, err := s.parse(args, p.env)
	switch {
	case errors.Is(err, errHelp):
		return p.ui.printPage("usage: sse version\n\nPrint the version of this command, " +
			"of the package sse that it contains, and of Go.\n")
	case err != nil:
		return p.ui.fail(err)
	case len(operands) > 0:
		return p.ui.fail(usageError("", "sse version must have no arguments, not %s", operands[0]))
	}
	info, _ := debug.ReadBuildInfo()
	return p.ui.printPage(formatVersion(info))
}

// formatVersion returns one line that identifies the build. Info is nil if the
// binary was built without modules.
func formatVersion(info *debug.BuildInfo) string {
	platform := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	if info == nil {
		return fmt.Sprintf("sse unknown (%s)\n", platform)
	}
	parts := []string{platform}
	for _, module := range info.Deps {
		// If the command and the package have the same version, for example (devel) in
		// the workspace, it is printed only once.
		if module.Path == libraryPath && module.Version != info.Main.Version {
			parts = append([]string{"package sse " + module.Version}, parts...)
		}
	}
	if commit := findCommit(info); commit != "" {
		parts = append(parts, commit)
	}
	name := info.Main.Version
	if name == "" {
		name = "(devel)"
	}
	return fmt.Sprintf("sse %s (%s)\n", name, strings.Join(parts, ", "))
}

// findCommit returns the commit that the binary was built from, or "" if info
// does not contain it.
func findCommit(info *debug.BuildInfo) string {
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
