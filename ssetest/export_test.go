package ssetest

import (
	"strings"
	"testing"
)

// FailingCases runs the cases of TestEventLog whose names begin with prefix. It
// returns the message of each case that fails, by the name of the case.
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

// OmittedCases returns the texts in which TestEventLog lists the cases that it omits.
func OmittedCases(opts EventLogOptions) []string { return omittedCases(&opts) }
