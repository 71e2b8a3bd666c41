package main

import (
	"context"
	"fmt"
	"strings"
)

// command is one verb of the command line.
type command struct {
	name    string
	summary string // one line of "sse -h"
	run     func(ctx context.Context, w *world, args []string) int
}

// commands returns the verbs, in the order in which "sse -h" shows them.
func commands() []command {
	return []command{
		{"serve", "run a hub: publish with curl, subscribe with anything", serve},
		{"send", "publish an event, or a line each", send},
		{"listen", "print the events of a stream, and reconnect for ever", listen},
		{"version", "print the version of this command", version},
	}
}

// failure is an error as a person reads it: what is wrong, what was seen, and
// what to do about it. The last two may be empty.
type failure struct {
	message string
	detail  string
	hint    string
	code    int // of the process
}

func (f *failure) Error() string { return f.message }

// misuse returns the failure of a command line that makes no sense.
func misuse(hint, format string, args ...any) *failure {
	return &failure{message: fmt.Sprintf(format, args...), hint: hint, code: exitUsage}
}

// dispatch finds the command that args name and runs it.
func dispatch(ctx context.Context, w *world, args []string) int {
	if len(args) == 0 {
		const hint = "try sse serve, sse listen :3000/handshake, or sse -h"
		return w.ui.fail(misuse(hint, "a command is missing"))
	}
	name, rest := args[0], args[1:]
	switch name {
	case "-h", "-help", "--help":
		return w.ui.page(overview())
	case "-version", "--version":
		name = "version"
	case "help":
		if len(rest) == 0 {
			return w.ui.page(overview())
		}
		name, rest = rest[0], []string{"-h"}
	}
	names := make([]string, 0, len(commands()))
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, w, rest)
		}
		names = append(names, c.name)
	}
	return w.ui.fail(unknownCommand(name, names))
}

// unknownCommand names the command that was probably meant.
func unknownCommand(name string, names []string) *failure {
	hint := "the commands are " + strings.Join(names, ", ") + "; see sse -h"
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean sse %s?", near)
	} else if _, err := parseURL(name); err == nil && strings.ContainsAny(name, ":/.") {
		hint = fmt.Sprintf("to listen to a URL: sse listen %s", name)
	}
	return misuse(hint, "unknown command %q", name)
}

// overview is the text of "sse -h".
func overview() string {
	var b strings.Builder
	b.WriteString("sse: Server-Sent Events in a shell\n\nusage: sse COMMAND [flags] …\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  sse %-9s %s\n", c.name, c.summary)
	}
	b.WriteString("\nFlags may stand before and after arguments. sse COMMAND -h shows them all.\n")
	return b.String()
}

// nearest returns the one of names that word is most likely a misspelling of,
// or "" if none is near.
func nearest(word string, names []string) string {
	word = strings.ToLower(word)
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, name := range names {
		if d := distance(word, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	// An abbreviation, or the end of a longer name.
	for _, name := range names {
		if strings.HasPrefix(name, word) || strings.HasSuffix(name, "-"+word) {
			return name
		}
	}
	return ""
}

// distance is the number of bytes to insert, delete, replace or swap with
// their neighbour to turn a into b.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
