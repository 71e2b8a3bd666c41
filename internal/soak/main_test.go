package soak_test

import (
	"os"
	"testing"

	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

// TestCrowd runs the clients in the process that a [brokertest.Crowd] starts. In
// other processes it does nothing.
func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
