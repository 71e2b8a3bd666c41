//go:build !linux

package main

import "errors"

func run() error { return errors.New("this program needs Linux, because it uses epoll") }
