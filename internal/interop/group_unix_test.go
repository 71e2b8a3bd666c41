//go:build unix

package interop

import (
	"os"
	"syscall"
)

// ownGroup makes a process the leader of a new group, to which its children
// belong.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the group of the supervisor, including the supervisor itself.
func killGroup(*os.Process) { _ = syscall.Kill(0, syscall.SIGKILL) }
