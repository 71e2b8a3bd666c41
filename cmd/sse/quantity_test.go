package main

import (
	"math"
	"testing"
	"time"
)

func TestAgeFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "0s": 0, "": -1, "d": -1, "7": -1, "-1h": -1, "1.5d": -1, "soon": -1,
		"0": 0, "0d": 0, "1d-1h": -1, " ": -1, "65535d2000000h": -1,
	} {
		f := ageFlag(-1)
		err := f.Set(text)
		if time.Duration(f) != want || (err != nil) != (want < 0) {
			t.Errorf("Set(%q): %v, %v; want %v", text, time.Duration(f), err, want)
		}
	}
}

func TestStorageSizeFlag(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1024": 1024, "1KiB": 1024, "1k": 1024, "100MB": 100 << 20, "2GiB": 2 << 30,
		"1TiB": 1 << 40, "-1": -1, "x": -1, "1.5G": -1, "9999999999TiB": -1, "": -1, "b": -1,
	} {
		f := storageSizeFlag(-1)
		err := f.Set(text)
		if int64(f) != want || (err != nil) != (want < 0) {
			t.Errorf("Set(%q): %v, %v; want %v", text, int64(f), err, want)
		}
	}
}

func TestEventSizeFlag(t *testing.T) {
	for text, want := range map[string]int{
		"1": 1, "65536": 65536, "64k": 65536, "64K": 65536, "64KB": 65536, "64KiB": 65536,
		"16MiB": 16 << 20, "1g": 1 << 30, "7b": 7,
	} {
		var size eventSizeFlag
		if err := size.Set(text); err != nil || int(size) != want {
			t.Errorf("Set(%q): %d, %v; want %d", text, size, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "x", "1.5k", "k", "1kk", "1 k", "9g", "99999999999",
	} {
		var size eventSizeFlag
		if err := size.Set(text); err == nil {
			t.Errorf("Set(%q): %d, want an error", text, size)
		}
	}
}

// The text of a size can be passed to Set, so that a user can copy it from a help page.
func TestSizeFlagsAsText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1536: "1536", 10 << 20: "10MiB",
		1 << 30: "1GiB", 1<<30 + 1: "1073741825", 1536 << 20: "1536MiB", 1 << 40: "1024GiB",
	} {
		size, parsed := storageSizeFlag(n), storageSizeFlag(-1)
		if got := size.String(); got != want || parsed.Set(got) != nil || parsed != size {
			t.Errorf("%d: the text is %q, want %q; it parses as %d", n, got, want, parsed)
		}
		if n == 0 || n > math.MaxInt32 {
			continue
		}
		event, parsedEvent := eventSizeFlag(n), eventSizeFlag(0)
		if got := event.String(); got != want || parsedEvent.Set(got) != nil || parsedEvent != event {
			t.Errorf("%d: the text is %q, want %q; it parses as %d", n, got, want, parsedEvent)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB",
		16 << 20: "16 MiB", 3 << 30: "3 GiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("formatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFormatDelay(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond:          "1ms",
		1234567 * time.Nanosecond: "1ms",
		time.Second:               "1s",
		3456 * time.Millisecond:   "3.5s",
		30 * time.Second:          "30s",
		90 * time.Second:          "1m30s",
	} {
		if got := formatDelay(d); got != want {
			t.Errorf("formatDelay(%d) = %q, want %q", d, got, want)
		}
	}
}
