package drive

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// module is where the programs are, as go build names them.
const module = "github.com/sse-go/sse/internal/compare/"

// Build compiles programs of this module into a directory.
func Build(ctx context.Context, dir string, names ...string) error {
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), module+name)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build %s: %w (run from internal/compare, with GOWORK=off)",
				module+name, err)
		}
	}
	return nil
}
