package hub

import (
	"bytes"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// systemMemory returns, in bytes, the smallest of the memory of the machine and the
// limits of the cgroup of this process and of its parents. If none of them is known, it
// returns 0.
func systemMemory() int64 {
	meminfo, _ := os.ReadFile("/proc/meminfo")
	limit := parseMeminfo(meminfo)
	group, _ := os.ReadFile("/proc/self/cgroup")
	for dir := cgroupOf(group); dir != ""; dir = path.Dir(dir) {
		text, _ := os.ReadFile("/sys/fs/cgroup" + dir + "/memory.max")
		n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64) // fails for "max"
		if err == nil && (limit == 0 || n < limit) {
			limit = n
		}
		if dir == "/" {
			break
		}
	}
	return limit
}

// cgroupOf returns the path of a process in the hierarchy of cgroup v2. Text is the
// content of its /proc/PID/cgroup. If text has no such path, cgroupOf returns "".
func cgroupOf(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			return path.Clean("/" + dir)
		}
	}
	return ""
}

// parseMeminfo returns the memory of the machine, in bytes. Text is the content of
// /proc/meminfo. If text does not contain the memory, parseMeminfo returns 0.
func parseMeminfo(text []byte) int64 {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			digits, isKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
			n, err := strconv.ParseInt(digits, 10, 64)
			if isKB && err == nil && n > 0 && n < math.MaxInt64>>10 {
				return n << 10
			}
		}
	}
	return 0
}
