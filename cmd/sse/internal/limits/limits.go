// Package limits turns lists of the limits of the hub into the page docs/LIMITS.md.
// Each package that enforces limits has such a list.
package limits

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is one limit of the hub, and one row of the page.
type Limit struct {
	Name    string // the limited quantity, for example "topics of one event"
	Flag    string // the flag of sse serve, without dashes; empty if the limit is fixed
	Default string // the value of the limit if the flag is not set
	Reached string // the effect when the limit is reached, for example the status "413"
}

// New returns the Limit with these fields.
func New(name, flag, value, reached string) Limit {
	return Limit{Name: name, Flag: flag, Default: value, Reached: reached}
}

// Group is a list of limits with a title. It is one section of the page.
type Group struct {
	Title  string
	Limits []Limit
}

const head = `# Limits of the hub

This page is generated from the lists in the code:
` + "`SSE_UPDATE_DOCS=1 go test -run TestLimitsPage .`" + ` in cmd/sse writes it.
[The HTTP interface](PROTOCOL.md#statuses) explains the statuses.
`

// Page returns the page with these limits, as Markdown.
func Page(groups []Group) string {
	var page strings.Builder
	page.WriteString(head)
	for _, group := range groups {
		fmt.Fprintf(&page, "\n## %s\n\n", group.Title)
		page.WriteString("| limit | default | flag | when it is reached |\n|---|---|---|---|\n")
		for _, l := range group.Limits {
			flag := "fixed"
			if l.Flag != "" {
				flag = "`--" + l.Flag + "`"
			}
			fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", l.Name, l.Default, flag, l.Reached)
		}
	}
	return page.String()
}

// Count returns a number as text with commas, for example "10,000".
func Count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Size returns a number of bytes as text, in the largest unit of which it is a
// multiple, for example "64 KiB".
func Size(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return Count(int(n)) + " bytes"
}

// Duration returns a duration as text, in the largest unit of which it is a multiple,
// for example "2 minutes". It ignores fractions of a second.
func Duration(d time.Duration) string {
	n, unit := int(d/time.Second), "second"
	for _, larger := range []struct {
		name string
		size time.Duration
	}{{"hour", time.Hour}, {"minute", time.Minute}} {
		if d >= larger.size && d%larger.size == 0 {
			n, unit = int(d/larger.size), larger.name
			break
		}
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
