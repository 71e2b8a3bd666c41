//go:build unix && !(darwin || dragonfly || freebsd || linux)

package vfs

import "errors"

func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
