// Package compare compares this library with other libraries and servers. It
// has its own module, so that the library's go.mod requires nothing. The module
// is never released.
//
// The programs codec, broker, many and hub measure speed and memory, and write
// docs/PERFORMANCE.md. The tests in ./behaviour compare correctness, and write
// docs/BEHAVIOUR.md.
//
// Broker starts each server in its own process: the servers of serve and floor,
// and servers of other projects. It also starts the client load, which checks
// every event. Many starts several servers of this library on one port, for
// more subscribers than one process may have. Package drive is shared by these
// programs, and package control defines the messages between the processes.
//
// Storage compares storage libraries for the events of the hub, for
// docs/adr/0010-the-hub-stores-events-in-pebble.md.
package compare

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed go.mod
var goMod string

// Version returns the version of the module at path in go.mod. If go.mod does
// not require the module, it returns the text of an error, to be shown in the
// table.
func Version(path string) string {
	for line := range strings.Lines(goMod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == path {
			return fields[1]
		}
	}
	return fmt.Sprintf("not in go.mod: %s", path)
}
