//go:build !unix

package interop

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// killGroup kills only the command, because this system has no process groups.
func killGroup(command *os.Process) { _ = command.Kill() }
