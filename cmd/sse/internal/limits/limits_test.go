package limits_test

import (
	"testing"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/limits"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{limits.Count(7), "7"},
		{limits.Count(999), "999"},
		{limits.Count(1000), "1,000"},
		{limits.Count(1_000_000), "1,000,000"},
		{limits.Size(255), "255 bytes"},
		{limits.Size(1024), "1 KiB"},
		{limits.Size(1025), "1,025 bytes"},
		{limits.Size(10 << 20), "10 MiB"},
		{limits.Duration(time.Second), "1 second"},
		{limits.Duration(90 * time.Second), "90 seconds"},
		{limits.Duration(time.Minute), "1 minute"},
		{limits.Duration(24 * time.Hour), "24 hours"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
