//go:build unix

package interop

import (
	"os"
	"syscall"
)

// ownGroup makes a process the leader of a new process group. Its children belong to
// this group too.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process group of the calling supervisor, including the
// supervisor itself.
func killGroup(*os.Process) { _ = syscall.Kill(0, syscall.SIGKILL) }
