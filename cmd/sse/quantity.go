package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ageFlag is a duration that may contain days, for example 36h, 7d or 1d12h.
type ageFlag time.Duration

func (f *ageFlag) String() string {
	d, day := time.Duration(*f), 24*time.Hour
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}

// Set implements [flag.Value].
func (f *ageFlag) Set(text string) error {
	invalid := errors.New("must be a number with a unit, for example 90s, 36h or 7d")
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return invalid
	}
	var d time.Duration
	if rest != "" || !ok {
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return invalid
		}
	}
	whole := time.Duration(n) * 24 * time.Hour
	if d > math.MaxInt64-whole {
		return invalid
	}
	*f = ageFlag(whole + d)
	return nil
}

// storageSizeFlag is a number of bytes, for example 500MiB or 1TiB. It may be zero.
// Units are powers of 1024: k, KB and KiB all mean 1024 bytes.
type storageSizeFlag int64

func (f *storageSizeFlag) String() string { return exactSize(int64(*f)) }

// Set implements [flag.Value].
func (f *storageSizeFlag) Set(text string) error {
	digits := strings.TrimRight(text, "kKmMgGtTiIbB")
	unit := strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b")
	shift, ok := map[string]int{
		"": 0, "k": 10, "ki": 10, "m": 20, "mi": 20, "g": 30, "gi": 30, "t": 40, "ti": 40,
	}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64>>shift {
		return errors.New("must be a number of bytes, for example 1048576, 100MiB or 2GiB")
	}
	*f = storageSizeFlag(n << shift)
	return nil
}

// eventSizeFlag is the size of an event in bytes, with the units of storageSizeFlag.
// It is at least 1 and less than 2 GiB.
type eventSizeFlag int

func (f *eventSizeFlag) String() string { return exactSize(int64(*f)) }

// Set implements [flag.Value].
func (f *eventSizeFlag) Set(text string) error {
	digits := strings.TrimRight(text, "kKmMgGiIbB")
	unit := strings.ToLower(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b"))
	shifts := map[string]int{"": 0, "k": 10, "ki": 10, "m": 20, "mi": 20, "g": 30, "gi": 30}
	shift, ok := shifts[unit]
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n <= 0 || n<<shift > math.MaxInt32 {
		return errors.New("must be a number of bytes, for example 65536, 64KiB or 16MiB")
	}
	*f = eventSizeFlag(n << shift)
	return nil
}

// sizeUnits are the units of a size, the largest first.
var sizeUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// exactSize returns a number of bytes as text that a flag for a size accepts, for
// example "10MiB" or "1000".
func exactSize(n int64) string {
	for _, unit := range sizeUnits {
		if n >= unit.size && n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatSize returns a number of bytes as text with a unit, for example
// "1.5 KiB".
func formatSize(n int64) string {
	for _, unit := range sizeUnits {
		if n >= unit.size {
			text := fmt.Sprintf("%.1f", float64(n)/float64(unit.size))
			return strings.TrimSuffix(text, ".0") + " " + unit.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// formatDelay returns a delay as text, rounded to milliseconds below a second
// and to tenths of a second above.
func formatDelay(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}
