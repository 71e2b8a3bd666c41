//go:build !linux

package drive

import (
	"errors"
	"syscall"
)

const (
	Killed     = syscall.SIGKILL
	Terminated = syscall.SIGTERM
)

var errNeedsLinux = errors.New("this program needs Linux, because it uses /proc and epoll")

func DieWithParent(syscall.Signal) *syscall.SysProcAttr { return nil }
func CheckSystem(int) error                             { return errNeedsLinux }
func ResidentBytes(int) (float64, error)                { return 0, errNeedsLinux }
func PeakBytes(int) (float64, error)                    { return 0, errNeedsLinux }
func KernelBytes() (float64, error)                     { return 0, errNeedsLinux }
func ChildrenOf(int) ([]int, error)                     { return nil, errNeedsLinux }
