package reflog_test

import (
	"os"
	"testing"

	"github.com/sse-go/sse/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(appendTo); path != "" {
		appendForever(path)
		return
	}
	os.Exit(leakcheck.Check(m))
}
