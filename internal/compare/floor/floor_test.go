package floor_test

import (
	"testing"

	"github.com/sse-go/sse/internal/compare/floor"
)

func TestBuild(t *testing.T) {
	if _, err := floor.Build(t.TempDir()); err != nil {
		t.Fatal(err)
	}
}
