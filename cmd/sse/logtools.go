package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

const logIntro = `usage: sse log COMMAND [flags] DIR

Verify, print or repair the event log in DIR, the data directory of a hub. Each command
except repair only reads, and a hub may have the log open meanwhile.

`

// logCommands returns the commands of "sse log", in the order in which "sse log -h" prints
// them.
func logCommands() []command {
	return []command{
		{"verify", "read the whole log, and report damage", logVerify},
		{"stat", "print the number of events, topics, files and keys", logStat},
		{"dump", "print the events as JSON", logDump},
		{"repair", "cut off incomplete writes, and note which events are lost", logRepair},
	}
}

// logTools runs "sse log".
func logTools(ctx context.Context, p *process, args []string) int {
	var page strings.Builder
	page.WriteString(logIntro)
	var names []string
	for _, c := range logCommands() {
		names = append(names, c.name)
		fmt.Fprintf(&page, "  sse log %-7s %s\n", c.name, c.summary)
	}
	page.WriteString("\nTo print the flags of a command, run sse log COMMAND -h.\n")
	if len(args) == 0 {
		return p.ui.fail(usageError("try sse log stat DIR, or sse log -h", "a command is required"))
	}
	if isHelp(args[0]) {
		return p.ui.printPage(page.String())
	}
	for _, c := range logCommands() {
		if c.name == args[0] {
			return c.run(ctx, p, args[1:])
		}
	}
	hint := "the commands are " + strings.Join(names, ", ") + "; see sse log -h"
	if match := findNearest(args[0], names); match != "" {
		hint = fmt.Sprintf("did you mean sse log %s?", match)
	}
	return p.ui.fail(usageError(hint, "unknown command %q", "log "+args[0]))
}

// logTool is one run of a command of "sse log".
type logTool struct {
	*process
	name   string // for example verify
	dir    string // as the user has written it
	damage int    // number of damages that were found
	told   map[segmentlog.Damage]bool
}

// start parses the arguments of a command. If done is true, the command ends with the
// exit code.
func (t *logTool) start(s *settings, args []string, intro string) (code int, done bool) {
	operands, err := s.parse(args, t.env)
	switch {
	case errors.Is(err, errHelp):
		return t.ui.printPage(s.help(intro)), true
	case err != nil:
	case len(operands) == 0:
		err = usageError("DIR is the directory that the hub has as --data",
			"a directory is required")
	case len(operands) > 1:
		err = usageError("", "exactly one directory is required, not %d", len(operands))
	case operands[0] == "":
		err = usageError("", "the directory must not be empty")
	}
	if err != nil {
		return t.ui.fail(err), true
	}
	t.dir = operands[0]
	return exitDone, false
}

// inspect opens the log without changing it.
func (t *logTool) inspect(onDamage func(segmentlog.Damage)) (*segmentlog.Inspection, error) {
	t.reportBusy()
	i, err := segmentlog.Inspect(t.dir, segmentlog.InspectOptions{OnDamage: onDamage})
	return i, t.explain(err)
}

// reportBusy reports that a hub uses the log, if one does.
func (t *logTool) reportBusy() {
	if segmentlog.Busy(t.dir) {
		t.ui.report("", "a hub is using %s: sse log %s reads the log as it is now", t.dir, t.name)
	}
}

// formatDamage returns the line for a damage.
func (t *logTool) formatDamage(d segmentlog.Damage) string {
	return fmt.Sprintf("%s: offset %d: %s", filepath.Join(t.dir, d.File), d.Offset, d.What)
}

// isNew counts a damage, and reports whether it was not found before.
func (t *logTool) isNew(d segmentlog.Damage) bool {
	if t.told[d] {
		return false
	}
	if t.told == nil {
		t.told = map[segmentlog.Damage]bool{}
	}
	t.told[d] = true
	t.damage++
	return true
}

// reportDamage prints a damage to stderr.
func (t *logTool) reportDamage(d segmentlog.Damage) {
	if t.isNew(d) {
		t.ui.report(yellow, "%s", t.formatDamage(d))
	}
}

// explain returns a failure that explains why the log cannot be opened, or nil.
func (t *logTool) explain(err error) error {
	if err == nil {
		return nil
	}
	var none *segmentlog.NoLogError
	var old *segmentlog.OldFormatError
	var state *segmentlog.StateError
	var key *segmentlog.MissingKeyError
	var locked *segmentlog.LockedError
	f := &failure{message: text.WithoutPrefix(err), code: exitFailed}
	switch {
	case errors.As(err, &none):
		f.message = t.dir + " has no event log of a hub"
		f.hint = "DIR is the directory that the hub has as --data"
	case errors.As(err, &old):
		f.message = t.dir + " has events in the format of an older version"
		f.hint = "use the older version to read them"
	case errors.As(err, &state) && state.Newer:
		f.message = text.WithoutPrefix(state)
		f.hint = "use the newer version of sse that has written it"
	case errors.As(err, &state):
		f.message, f.hint = text.WithoutPrefix(state), newEpochHint
	case errors.As(err, &key):
		f.message, f.hint = text.WithoutPrefix(key), newEpochHint
	case errors.As(err, &locked):
		f.message, f.hint = text.WithoutPrefix(locked), "stop the hub first, or use --dry-run"
	case errors.Is(err, fs.ErrNotExist):
		f.message = t.dir + " does not exist"
	}
	return f
}

const newEpochHint = "restore the file from a backup, or start the hub once with --new-epoch: " +
	"then each client that reconnects gets a gap"

// finish returns the exit code for err, with which the command ends.
func (t *logTool) finish(err error) int {
	switch {
	case err == nil, errors.Is(err, errOutputClosed):
		return exitDone
	case errors.Is(err, errInterrupted):
		t.ui.clearInterrupt(false)
		return t.ui.fail(&failure{message: "interrupted", code: exitFailed})
	}
	return t.ui.fail(err)
}

const logVerifyIntro = `usage: sse log verify DIR

Read all events, indexes and idempotency keys of the log in DIR, and print each damage as
a line FILE: offset N: DAMAGE, and then a summary. Damage stays in the files, and a
subscriber gets a gap in place of each event that cannot be read. See docs/LOG.md.

  sse log verify ./events
  sse log verify ./backup && rm -r ./older-backup

Exit code: 0 no damage, 1 damage or failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// logVerify runs "sse log verify".
func logVerify(ctx context.Context, p *process, args []string) int {
	t := &logTool{process: p, name: "verify"}
	if code, done := t.start(newSettings("log verify"), args, logVerifyIntro); done {
		return code
	}
	verified, err := t.verify(ctx)
	if err != nil {
		return t.finish(err)
	}
	result := "no damage"
	if t.damage > 0 {
		result = plural(t.damage, "damage")
	}
	err = p.ui.write(fmt.Sprintf("%s in %s, %s\n",
		plural(int(verified.Events), "event"), plural(verified.Files, "file"), result))
	if code := t.finish(err); code != exitDone || t.damage == 0 {
		return code
	}
	return exitFailed
}

func (t *logTool) verify(ctx context.Context) (verified segmentlog.Verified, err error) {
	var written error
	i, err := t.inspect(func(d segmentlog.Damage) {
		if t.isNew(d) && written == nil {
			written = t.ui.write(t.formatDamage(d) + "\n")
		}
	})
	if err != nil {
		return verified, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	verified, err = i.Verify(ctx)
	if written != nil {
		err = written
	}
	return verified, err
}

// plural returns a number and a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

const logRepairIntro = `usage: sse log repair [flags] DIR

Repair the log in DIR as a hub does when it starts: cut off a write that is not complete,
remove files that do not belong to the log, and note in the file state which events are
lost. No event that can be read is removed. sse log repair prints the changes to stdout,
and the damage to stderr. Damage in an older file is found only by sse log verify, and
stays in the file. If a hub uses the log, sse log repair fails.

  sse log repair --dry-run ./events
  cp -r ./events ./backup && sse log repair ./events

Exit code: 0 done, 1 failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// logRepair runs "sse log repair".
func logRepair(_ context.Context, p *process, args []string) int {
	t := &logTool{process: p, name: "repair --dry-run"}
	s := newSettings("log repair")
	dryRun := false
	s.addGroup("Changes")
	s.addFlag(&dryRun, "dry-run", "print the changes, but do not make them")
	if code, done := t.start(s, args, logRepairIntro); done {
		return code
	}
	if dryRun {
		t.reportBusy()
	}
	return t.finish(t.repair(dryRun))
}
