package property_test

import (
	"os"
	"testing"

	"github.com/sse-go/sse/internal/brokertest"
	"github.com/sse-go/sse/internal/leakcheck"
	"github.com/sse-go/sse/internal/property"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Check(m)) }

func TestResumeProperty(t *testing.T) {
	steps := 100_000
	if testing.Short() {
		steps = 10_000
	}
	property.Test(t, brokertest.Held(), steps)
}
