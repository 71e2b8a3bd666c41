package main

import (
	"testing"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// A hub that stores events in memory uses the default limit of the broker, unless
// --keep-bytes or its environment variable is set. The value that is set applies even
// if it equals the default of --keep-bytes.
func TestKeepBytesInMemory(t *testing.T) {
	for _, tt := range []struct {
		env  string
		args []string
		want int64
	}{
		{"", nil, 0},
		{"1GiB", nil, 1 << 30},
		{"", []string{"--keep-bytes", "1GiB"}, 1 << 30},
		{"2GiB", []string{"--keep-bytes", "1MiB"}, 1 << 20},
	} {
		o := serveOptions{
			data: hub.Memory, keepBytes: 1 << 30, heartbeat: time.Second,
			idempotencyPeriod: ageFlag(time.Hour),
		}
		s := newSettings("serve")
		o.define(s)
		_, err := s.parse(tt.args, func(name string) (string, bool) {
			return tt.env, name == "SSE_SERVE_KEEP_BYTES"
		})
		if err != nil {
			t.Fatal(err)
		}
		config, err := o.config(s.given["keep-bytes"])
		if err != nil {
			t.Fatal(err)
		}
		got := int64(0)
		if len(config.Retention) > 0 {
			got = config.Retention[0].Bytes
		}
		if got != tt.want {
			t.Errorf("%q %q: %d bytes, want %d", tt.env, tt.args, got, tt.want)
		}
	}
}
