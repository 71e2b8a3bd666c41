package ssetest

import (
	"strings"
	"testing"
)

// FailingCases runs the cases of TestEventLog whose names begin with prefix. It
// returns the messages of the failing ones by name.
func FailingCases(tb testing.TB, opts EventLogOptions, prefix string) map[string]string {
	failing := make(map[string]string)
	for _, c := range eventLogCases() {
		if len(c.needs.missing(&opts)) > 0 || !strings.HasPrefix(c.name, prefix) {
			continue
		}
		if failures := c.check(tb, &opts); len(failures) > 0 {
			failing[c.name] = c.report(failures)
		}
	}
	return failing
}

// OmittedCases returns the cases that TestEventLog lists as omitted.
func OmittedCases(opts EventLogOptions) []string { return omittedCases(&opts) }
