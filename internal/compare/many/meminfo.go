package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// availableBytes returns the memory that processes can use without swapping, in
// bytes. It parses the text of /proc/meminfo.
func availableBytes(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		rest, found := strings.CutPrefix(line, "MemAvailable:")
		if !found {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(
			strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/meminfo: %q: %w", strings.TrimSpace(line), err)
		}
		return kb << 10, nil
	}
	return 0, errors.New("/proc/meminfo has no line MemAvailable")
}
