package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// ageFlag is a duration that may have days, such as 36h, 7d or 1d12h.
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
	wrong := errors.New("an age is a number with a unit, as in 90s, 36h or 7d")
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return wrong
	}
	var d time.Duration
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return wrong
		}
	}
	*f = ageFlag(time.Duration(n)*24*time.Hour + d)
	return nil
}

// bytesFlag is a number of bytes of a disk, such as 500MiB or 1TiB.
type bytesFlag int64

func (f *bytesFlag) String() string { return strings.ReplaceAll(bytesText(int64(*f)), " ", "") }

// Set implements [flag.Value].
func (f *bytesFlag) Set(text string) error {
	digits := strings.TrimRight(text, "kKmMgGtTiIbB")
	unit := strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b")
	shift, ok := map[string]int{
		"": 0, "k": 10, "ki": 10, "m": 20, "mi": 20, "g": 30, "gi": 30, "t": 40, "ti": 40,
	}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64>>shift {
		return errors.New("a size is a number of bytes, as in 1048576, 100MiB or 2GiB")
	}
	*f = bytesFlag(n << shift)
	return nil
}

// keepFlag collects how much is kept of topics: 'PATTERN age=7d events=100'.
type keepFlag []hub.Retention

func (f *keepFlag) String() string { return "" }
func (f *keepFlag) repeats()       {}

// Set implements [flag.Value].
func (f *keepFlag) Set(text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return errors.New("say of which topics, and how much: 'PATTERN age=7d events=100 bytes=1MiB'")
	}
	pattern, err := sse.ParsePattern(words[0])
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "sse: "))
	}
	r := hub.Retention{Pattern: pattern}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "age":
			err = (*ageFlag)(&r.Age).Set(value)
		case "bytes":
			err = (*bytesFlag)(&r.Bytes).Set(value)
		case "events":
			r.Events, err = strconv.ParseInt(value, 10, 64)
			if err != nil || r.Events < 1 {
				err = errors.New("events is a number from 1")
			}
		default:
			err = errors.New(name + " is none of age, events and bytes")
		}
		if err != nil {
			return err
		}
	}
	*f = append(*f, r)
	return nil
}
