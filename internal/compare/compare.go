// Package compare compares this library with other libraries and servers. The
// directory has its own module, so that the library's go.mod requires nothing. The
// module is never released.
//
// The programs codec, broker, many and hub measure speed and memory, and write
// docs/PERFORMANCE.md. The tests in ./behaviour compare correctness, and write
// docs/BEHAVIOUR.md. The program before compares the speed of this tree with the
// speed of an earlier commit. The program floods measures how much a flood of requests
// delays a healthy client of the hub.
//
// The program broker starts each server in a process of its own: a server of the
// program serve, the server that package floor builds, or a server of another
// project. It also starts the program load, a client that checks every event. The
// program many starts several servers of this library on one port, for more
// subscribers than one process may have. These programs share package drive.
// Package control defines the messages between the processes.
//
// The program storage compares storage libraries for the events of the hub, for
// docs/adr/0010-the-hub-stores-events-in-pebble.md.
package compare

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed go.mod
var goMod string

// Version returns the version of the module with the given path in go.mod. If
// go.mod does not require the module, Version returns an error text instead, which
// the generated table then contains.
func Version(path string) string {
	for line := range strings.Lines(goMod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == path {
			return fields[1]
		}
	}
	return fmt.Sprintf("not in go.mod: %s", path)
}
