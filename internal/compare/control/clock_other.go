//go:build !linux

package control

import "time"

// monotonic makes Now work within one process. The comparison programs need
// Linux, and return an error elsewhere.
func monotonic() int64 { return time.Now().UnixNano() }

// CPUTime returns 0, because the time is unknown on this system.
func CPUTime(pid int) int64 { return 0 }
