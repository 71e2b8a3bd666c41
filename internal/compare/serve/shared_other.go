//go:build !linux

package main

import (
	"errors"
	"net"
)

func listenShared(string) (net.Listener, error) {
	return nil, errors.New("sharing a port needs Linux")
}
