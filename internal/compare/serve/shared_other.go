//go:build !linux

package main

import (
	"errors"
	"net"
)

func listenShared(string) (net.Listener, error) {
	return nil, errors.New("a shared port needs Linux")
}
