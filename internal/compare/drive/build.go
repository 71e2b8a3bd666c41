package drive

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// module is the import path of the programs.
const module = "github.com/sse-go/sse/internal/compare/"

// Build compiles programs of this module into a directory.
func Build(ctx context.Context, dir string, names ...string) error {
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), module+name)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build %s: %w (run this in internal/compare with GOWORK=off)",
				module+name, err)
		}
	}
	return nil
}

// BuildHub compiles the command sse into a directory. The command is in another
// module. If this module required that module, its requirements would determine the
// versions of the compared libraries.
func BuildHub(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-C", "../../cmd/sse",
		"-o", filepath.Join(dir, "sse"), ".")
	cmd.Env = append(os.Environ(), "GOWORK=") // use go.work, and so the library of this tree
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build cmd/sse: %w (run this in internal/compare)", err)
	}
	return nil
}
