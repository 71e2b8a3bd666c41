//go:build !linux

package main

import (
	"errors"
	"syscall"
)

const (
	killed     = syscall.SIGKILL
	terminated = syscall.SIGTERM
)

var errNeedsLinux = errors.New("needs Linux: its /proc and its epoll")

func dieWithParent(syscall.Signal) *syscall.SysProcAttr { return nil }
func checkSystem(int) error                             { return errNeedsLinux }
func residentBytes(int) (float64, error)                { return 0, errNeedsLinux }
func kernelBytes() (float64, error)                     { return 0, errNeedsLinux }
func childrenOf(int) ([]int, error)                     { return nil, errNeedsLinux }
