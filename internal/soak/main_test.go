package soak_test

import (
	"os"
	"testing"

	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

// TestCrowd runs the clients in a process that a [brokertest.Crowd] has started. In
// other processes it is skipped.
func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
