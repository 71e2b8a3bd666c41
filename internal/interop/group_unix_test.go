//go:build unix

package interop

import (
	"os"
	"syscall"
)

// ownGroup makes a process the leader of a group, which its children join.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the supervisor's group, itself included.
func killGroup(*os.Process) { _ = syscall.Kill(0, syscall.SIGKILL) }
