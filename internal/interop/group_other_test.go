//go:build !unix

package interop

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// killGroup kills the command alone, for lack of groups.
func killGroup(command *os.Process) { _ = command.Kill() }
