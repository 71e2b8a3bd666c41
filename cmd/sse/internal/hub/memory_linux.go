package hub

import (
	"bytes"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// systemMemory returns the limit of the cgroup of this process or the memory of
// the machine, whichever is less, or 0 if both are unknown.
func systemMemory() int64 {
	meminfo, _ := os.ReadFile("/proc/meminfo")
	limit := parseMeminfo(meminfo)
	group, _ := os.ReadFile("/proc/self/cgroup")
	for dir := cgroupOf(group); dir != ""; dir = path.Dir(dir) {
		text, _ := os.ReadFile("/sys/fs/cgroup" + dir + "/memory.max")
		n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64) // or "max"
		if err == nil && (limit == 0 || n < limit) {
			limit = n
		}
		if dir == "/" {
			break
		}
	}
	return limit
}

// cgroupOf returns the path of a process in the hierarchy of cgroup v2, from the
// content of its /proc/PID/cgroup, or nothing.
func cgroupOf(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			return path.Clean("/" + dir)
		}
	}
	return ""
}

// parseMeminfo returns the memory of the machine, from the content of
// /proc/meminfo, or 0.
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
