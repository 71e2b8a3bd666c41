// Package compare measures this library and other people's side by side. It is
// a module of its own, so that the library's go.mod stays empty, and it is never
// released.
//
// The programs in codec, broker and many measure speed and memory, and write
// docs/PERFORMANCE.md; the tests in behaviour compare what is right and write
// docs/BEHAVIOUR.md.
//
// Broker starts the servers of serve and floor, and others', each in a process of
// its own, and the client of load, which checks every event. Many starts several
// of ours on one port, for more subscribers than one process may have. What the
// two have in common is in drive, and what the processes tell each other in
// control.
//
// Storage compares libraries to keep the hub's events in, for
// docs/adr/0010-what-the-hub-keeps-events-in.md.
package compare

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed go.mod
var goMod string

// Version is the version of the module at path that go.mod pins, or an error's
// text if it pins none: a table without a version would be of no use.
func Version(path string) string {
	for line := range strings.Lines(goMod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == path {
			return fields[1]
		}
	}
	return fmt.Sprintf("not in go.mod: %s", path)
}
