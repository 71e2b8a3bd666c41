// Command load is a client with thousands of subscribers, which counts and checks
// every event. It is driven by lines of JSON on its standard input, answers on
// its standard output (see package control), and ends when its input does.
//
// One thread and one epoll serve all connections, and none has a goroutine or a
// buffer of its own: the client must cost less than the server that it measures.
// A process may have 20,000 open files or so; who needs more subscribers starts
// several of these.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
