//go:build !linux

package hub

// processOn returns "", which means that the process is unknown. Only Linux has the
// files in /proc that name the process.
func processOn(string) string { return "" }
