//go:build !linux

package control

import "time"

// monotonic returns the time since 1970, so that Now works within one process. On
// this system, the comparison programs return an error anyway.
func monotonic() int64 { return time.Now().UnixNano() }

// CPUTime returns 0, because the time is unknown on this system.
func CPUTime(pid int) int64 { return 0 }
