// Package drive is shared by the programs that measure servers. It starts the
// processes of a server and of its subscribers, sends them commands, and reads their
// CPU time and memory. [control] explains waves, which this package publishes.
//
// [control]: https://pkg.go.dev/github.com/sse-go/sse/internal/compare/control
package drive
