package hub

import "testing"

func TestParseMemory(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"MemTotal:       16000 kB\nMemFree: 1 kB\n": 16000 << 10,
		"MemFree: 1 kB\n":  0,
		"MemTotal: x kB\n": 0,
		"":                 0,
	} {
		if got := parseMeminfo([]byte(text)); got != want {
			t.Errorf("the memory in %q is %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"0::/\n":                           "/",
		"1:name=systemd:/a\n0::/b/c.scope": "/b/c.scope",
		"1:name=systemd:/a\n":              "",
		"":                                 "",
	} {
		if got := cgroupOf([]byte(text)); got != want {
			t.Errorf("the cgroup in %q is %q, want %q", text, got, want)
		}
	}
}
