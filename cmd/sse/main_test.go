package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestSecondInterruptExits(t *testing.T) {
	signals, code := make(chan os.Signal, 2), make(chan int)
	ctx := withInterrupts(context.Background(), signals, func(c int) { code <- c })
	signals <- os.Interrupt
	<-ctx.Done()
	if got := context.Cause(ctx); !errors.Is(got, errInterrupted) {
		t.Errorf("cause %v, want %v", got, errInterrupted)
	}
	select {
	case c := <-code:
		t.Fatalf("exit code %d after the first interrupt, want no exit", c)
	default:
	}
	signals <- syscall.SIGTERM
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}

// After the first signal, a SIGHUP does not end the process.
func TestHangupIsNotTheSecondInterrupt(t *testing.T) {
	for _, first := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		signals, code := make(chan os.Signal), make(chan int)
		ctx := withInterrupts(context.Background(), signals, func(c int) { code <- c })
		signals <- first
		<-ctx.Done()
		signals <- syscall.SIGHUP
		signals <- syscall.SIGHUP // when it is accepted, the previous one was handled
		select {
		case c := <-code:
			t.Errorf("%v, SIGHUP: exit code %d, want no exit", first, c)
		case signals <- os.Interrupt:
		}
		if got := <-code; got != exitInterrupted {
			t.Errorf("%v, SIGHUP, interrupt: exit code %d, want %d", first, got, exitInterrupted)
		}
	}
}
