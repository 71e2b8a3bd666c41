package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// retentionFlag collects the values of --keep. Each value is a pattern and the
// limits of each topic that it matches, for example 'room/* age=7d events=100'.
type retentionFlag []hub.Retention

func (f *retentionFlag) String() string { return "" }
func (f *retentionFlag) isRepeatable()  {}

// Set implements [flag.Value].
func (f *retentionFlag) Set(value string) error {
	words := strings.Fields(value)
	if len(words) < 2 {
		return errors.New("must be a pattern and its limits, " +
			"for example 'room/* age=7d events=100 bytes=1MiB'")
	}
	pattern, err := sse.ParsePattern(words[0])
	if err != nil {
		return errors.New(text.WithoutPrefix(err))
	}
	r := hub.Retention{Pattern: pattern}
	for _, word := range words[1:] {
		if err := setLimit(&r, word); err != nil {
			return fmt.Errorf("%s %w", word, err)
		}
	}
	*f = append(*f, r)
	return nil
}

// errNotPositive is the error for a limit of zero. In a hub.Retention, zero would mean
// that there is no limit.
var errNotPositive = errors.New("must be greater than 0")

// setLimit sets the limit of r that word names, for example "age=7d".
func setLimit(r *hub.Retention, word string) error {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "age":
		err := (*ageFlag)(&r.Age).Set(value)
		if err == nil && r.Age == 0 {
			err = errNotPositive
		}
		return err
	case "bytes":
		err := (*storageSizeFlag)(&r.Bytes).Set(value)
		if err == nil && r.Bytes == 0 {
			err = errNotPositive
		}
		return err
	case "events":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 {
			return errors.New("must be a whole number of at least 1")
		}
		r.Events = n
		return nil
	}
	return errors.New("must be age=AGE, events=N or bytes=SIZE")
}
