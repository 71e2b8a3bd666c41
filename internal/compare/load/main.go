// Command load is a client with thousands of subscribers that counts and checks
// every event. It reads commands as lines of JSON from its standard input,
// replies on its standard output (see package control), and ends at the end of
// its input.
//
// The client must cost less than the server that it measures. So one goroutine and
// one epoll serve all connections, and a connection has no goroutine and no buffer.
// On some systems a process may have only about 20,000 open files. For more
// subscribers, start several processes.
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
