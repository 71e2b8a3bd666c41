package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// command is one command of the program, for example "sse serve".
type command struct {
	name    string
	summary string // one line of "sse -h"
	run     func(ctx context.Context, p *process, args []string) int
}

// commands returns all commands, in the order in which "sse -h" prints them.
func commands() []command {
	return []command{
		{"serve", "run a hub: publish with curl, subscribe with any client", serve},
		{"send", "publish one event, or each line of stdin as an event", send},
		{"listen", "print the events of a stream, and reconnect after failures", listen},
		{"log", "verify, print or repair the event log of a hub on the disk", logTools},
		{"version", "print the version of this command", version},
	}
}

// dispatch runs the command that args[0] names, and returns the exit code.
func dispatch(ctx context.Context, p *process, args []string) int {
	if len(args) == 0 {
		const hint = "try sse serve, sse listen :3000/handshake, or sse -h"
		return p.ui.fail(usageError(hint, "a command is required"))
	}
	name, rest := args[0], args[1:]
	switch {
	case isHelp(name):
		// In "sse help serve" and "sse -h serve -h", the first argument that is not
		// a word for help names the command.
		rest = slices.DeleteFunc(rest, isHelp)
		if len(rest) == 0 {
			return p.ui.printPage(overview())
		}
		name, rest = rest[0], []string{"-h"}
	case name == "-version" || name == "--version":
		name = "version"
	}
	names := make([]string, 0, len(commands()))
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, p, rest)
		}
		names = append(names, c.name)
	}
	return p.ui.fail(unknownCommand(name, names))
}

// isHelp reports whether an argument asks for a help page.
func isHelp(arg string) bool {
	switch arg {
	case "help", "-h", "-help", "--help":
		return true
	}
	return false
}

// unknownCommand returns the failure for a command that does not exist. Its hint
// suggests a command with a similar name, or sse listen if name may be a URL. If
// neither applies, the hint lists names.
func unknownCommand(name string, names []string) *failure {
	hint := "the commands are " + strings.Join(names, ", ") + "; see sse -h"
	if match := findNearest(name, names); match != "" {
		hint = fmt.Sprintf("did you mean sse %s?", match)
	} else if _, err := parseURL(name); err == nil && strings.ContainsAny(name, ":/.") {
		hint = fmt.Sprintf("to print the events of a URL, run sse listen %s", withoutPassword(name))
	}
	return usageError(hint, "unknown command %q", withoutPassword(name))
}

// overview returns the text of "sse -h".
func overview() string {
	var b strings.Builder
	b.WriteString("sse: Server-Sent Events on the command line\n\n" +
		"usage: sse COMMAND [flags] …\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  sse %-9s %s\n", c.name, c.summary)
	}
	b.WriteString("\nFlags may precede or follow arguments. " +
		"To print the flags of a command, run sse COMMAND -h.\n")
	return b.String()
}
