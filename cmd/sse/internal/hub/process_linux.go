package hub

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processOn returns the name and the number of the process that listens on a port, for
// example "sse, process 42". If it finds none, it returns "". It does not find a process
// of another user, because the kernel hides the open files of such a process.
func processOn(port string) string {
	number, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		addListeners(table, fmt.Sprintf(":%04X", number), sockets)
	}
	if len(sockets) == 0 {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || !sockets[target] {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err == nil {
			return fmt.Sprintf("%s, process %s", bytes.TrimSpace(name), filepath.Base(process))
		}
	}
	return ""
}

// addListeners adds the sockets that listen on port to sockets, each in the form of a
// link in /proc/PID/fd. Table is the file that lists the sockets of the kernel, and
// port is a text such as ":0BB8" for 3000.
func addListeners(table, port string, sockets map[string]bool) {
	file, err := os.Open(table)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }() // a file opened for reading
	const stateListen = "0A"
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], port) && fields[3] == stateListen {
			sockets["socket:["+fields[9]+"]"] = true
		}
	}
}
