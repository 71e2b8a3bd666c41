package sse_test

import (
	"os"
	"testing"

	"github.com/sse-go/sse/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }
