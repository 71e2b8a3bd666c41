package drive

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// How processes are ended.
const (
	Killed     = syscall.SIGKILL
	Terminated = syscall.SIGTERM
)

// DieWithParent ends a child by a signal when the coordinator dies, however it
// does.
func DieWithParent(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}

// CheckSystem says what is missing before a long run does.
func CheckSystem(files int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if int(limit.Max) < files {
		return fmt.Errorf("a process may have %d open files, and %d are needed: "+
			"raise ulimit -Hn, or ask for fewer subscribers", limit.Max, files)
	}
	return nil
}

// ResidentBytes is the physical memory that a process has, its part of shared
// memory included.
func ResidentBytes(pid int) (float64, error) {
	// Exact, unlike VmRSS in status, which each thread batches.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "Rss:" {
			kb, err := strconv.ParseFloat(string(fields[1]), 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/smaps_rollup has no line Rss", pid)
}

// KernelBytes is the memory that the kernel has for sockets: its objects in use,
// by /proc/slabinfo, and buffers, by /proc/net/sockstat. Only differences mean
// something, and only on a quiet machine.
//
// The size of the slabs themselves (Slab in /proc/meminfo) would not do: slabs
// that the measurement before has left half empty are filled up first.
func KernelBytes() (float64, error) {
	slabs, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, fmt.Errorf("%w (only root may read it)", err)
	}
	total, sockets, dentry := 0.0, 0.0, 0.0
	for line := range strings.Lines(string(slabs)) {
		// name, active objects, all objects, size of one, …
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		active, err1 := strconv.ParseFloat(fields[1], 64)
		size, err2 := strconv.ParseFloat(fields[3], 64)
		switch {
		case err1 != nil || err2 != nil:
		case fields[0] == "dentry":
			dentry = size // most are files'; a socket has one
		case socketSlabs.MatchString(fields[0]):
			total += active * size
			if fields[0] == "sock_inode_cache" {
				sockets = active
			}
		}
	}
	buffers, err := socketBuffers()
	return total + sockets*dentry + buffers, err
}

// socketSlabs are the kinds of objects that sockets are made of. Those of file
// systems change for other reasons.
var socketSlabs = regexp.MustCompile(
	`^(.*TCP.*|tcp_.*|sock_inode_cache|filp|eventpoll_.*|ep_head|skbuff_.*|kmalloc-\d.*)$`)

// socketBuffers is the memory of what is under way in TCP sockets.
func socketBuffers() (float64, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if _, pages, found := strings.Cut(line, " mem "); found && strings.HasPrefix(line, "TCP:") {
			n, err := strconv.ParseFloat(strings.TrimSpace(pages), 64)
			return n * float64(os.Getpagesize()), err
		}
	}
	return 0, fmt.Errorf("/proc/net/sockstat has no memory of TCP")
}

// ChildrenOf are the processes that a process has started.
func ChildrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}
