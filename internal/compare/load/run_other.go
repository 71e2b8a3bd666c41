//go:build !linux

package main

import "errors"

func run() error { return errors.New("needs Linux: it is built on epoll") }
