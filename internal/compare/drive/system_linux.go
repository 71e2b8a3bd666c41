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

// The signals that end processes.
const (
	Killed     = syscall.SIGKILL
	Terminated = syscall.SIGTERM
)

// DieWithParent returns attributes of a process to which the kernel sends a signal
// when its parent, this program, ends for any reason.
func DieWithParent(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}

// CheckSystem returns an error if a process cannot have so many open files.
func CheckSystem(files int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if int(limit.Max) < files {
		return fmt.Errorf("a process must be able to have %d open files, but the limit is %d: "+
			"raise ulimit -Hn, or set fewer subscribers", files, limit.Max)
	}
	return nil
}

// ResidentBytes returns the physical memory of a process, including its part of
// shared memory.
func ResidentBytes(pid int) (float64, error) {
	// smaps_rollup is exact. VmRSS in status is not, because each thread updates it
	// only from time to time.
	return kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:")
}

// PeakBytes returns the largest physical memory that a process has had so far.
func PeakBytes(pid int) (float64, error) {
	return kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
}

// kilobytes returns the value, in bytes, of a line of a file that consists of a name, a
// number and "kB".
func kilobytes(path, name string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == name {
			kb, err := strconv.ParseFloat(string(fields[1]), 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("%s has no line %s", path, name)
}

// KernelBytes returns the memory of the kernel for sockets: objects in use,
// from /proc/slabinfo, and buffers, from /proc/net/sockstat. Only differences
// are meaningful, and only on a quiet machine.
//
// A slab is a piece of kernel memory for objects of one kind. The size of all slabs
// (Slab in /proc/meminfo) is not suitable: after an earlier measurement, slabs are
// half empty, and the kernel first fills these.
func KernelBytes() (float64, error) {
	slabs, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, fmt.Errorf("%w (run this as root, which may read the file)", err)
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
			dentry = size // most dentries belong to files; each socket has one dentry
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

// socketSlabs matches the names of the slabs for objects of sockets. The other slabs,
// for example of file systems, change for other reasons.
var socketSlabs = regexp.MustCompile(
	`^(.*TCP.*|tcp_.*|sock_inode_cache|filp|eventpoll_.*|ep_head|skbuff_.*|kmalloc-\d.*)$`)

// socketBuffers returns the memory of the buffers of TCP sockets in bytes.
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

// ChildrenOf returns the ids of the children of a process.
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
