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

// BuildHub compiles the command sse, which is of another module, into a directory. To
// be a part of this one it would decide about the versions of the other libraries.
func BuildHub(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-C", "../../cmd/sse",
		"-o", filepath.Join(dir, "sse"), ".")
	cmd.Env = append(os.Environ(), "GOWORK=") // found, so that it is built of this tree's library
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build cmd/sse: %w (run from internal/compare)", err)
	}
	return nil
}
