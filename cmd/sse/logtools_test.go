package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/segmentlog"
)

// listing returns the names, sizes and times of the files in a directory, and of the
// directory itself.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// No command of sse log except repair changes the directory, even if the log needs a
// repair. The commands need no permission to write.
func TestLogToolsChangeNothing(t *testing.T) {
	dir := t.TempDir()
	l, err := segmentlog.Open(dir, &segmentlog.Options{SegmentSize: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		_, err := l.Append(t.Context(), sse.AppendRequest{
			Entries: []sse.Entry{{Topics: []string{"a"}, Event: sse.Event{Data: strings.Repeat("x", 100)}}},
			Key:     fmt.Sprint("key ", n),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// The epoch and the lock are missing, a file was left, and the tail has a torn write.
	segments, err := filepath.Glob(filepath.Join(dir, "*.events"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	tail, err := os.OpenFile(segments[len(segments)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tail.WriteString("torn")
	for _, err := range []error{
		err, tail.Close(), os.Remove(filepath.Join(dir, "epoch")), os.Remove(filepath.Join(dir, "lock")),
		os.WriteFile(filepath.Join(dir, "state.new"), []byte("draft"), 0o600),
		os.Chmod(dir, 0o500),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = os.Chmod(dir, 0o700) }() // so that TempDir can remove it
	before := listing(t, dir)
	for command, wantCode := range map[string]int{
		"verify": exitFailed, "stat": exitDone, "dump": exitDone, "repair --dry-run": exitDone,
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"log"}, append(strings.Fields(command), dir)...)
		env := func(string) (string, bool) { return "", false }
		code := run(context.Background(), args, env, nil, &stdout, &stderr)
		if code != wantCode || stdout.Len() == 0 {
			t.Errorf("sse log %s: exit code %d, stdout %q, stderr %q", command, code, &stdout, &stderr)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("sse log %s has changed\n%sto\n%s", command, before, after)
		}
		if command == "repair --dry-run" {
			for _, want := range []string{
				"epoch: created", "lock: created", "state.new: removed", ".events: cut off at byte ",
			} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("a dry run printed %q, without %q", &stdout, want)
				}
			}
		}
	}
}
