package ssetest

import (
	"strings"
	"testing"
)

// FailingCases returns what TestEventLog would report, by the names of its cases,
// of those that begin with prefix.
func FailingCases(tb testing.TB, opts EventLogOptions, prefix string) map[string]string {
	failing := make(map[string]string)
	for _, c := range eventLogCases() {
		if len(c.needs.missing(&opts)) > 0 || !strings.HasPrefix(c.name, prefix) {
			continue
		}
		if findings := c.check(tb, &opts); len(findings) > 0 {
			failing[c.name] = c.report(findings)
		}
	}
	return failing
}

// LeftOut returns the cases that TestEventLog says it has not tested.
func LeftOut(opts EventLogOptions) []string { return leftOut(&opts) }
