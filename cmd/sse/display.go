package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/sse-go/sse"
)

// printer prints one event as a record on stdout. An error is final.
type printer func(sse.Event) error

// printer returns the form in which events are shown: JSON if asked for, a
// table on a terminal, else data.
func (u *ui) printer(asJSON bool) printer {
	switch {
	case asJSON:
		return u.printJSON
	case u.out.terminal:
		return u.printRow
	}
	return u.printData
}

// printData prints the data, in all its lines.
func (u *ui) printData(event sse.Event) error {
	return u.write(event.Data + "\n")
}

// record is an event as a line of JSON. ID and type follow MessageEvent of a
// browser: the ID is the last one that was sent, and a type that the stream
// does not tell is "message". Data is always there, since an event with empty
// data is an event.
type record struct {
	Topic string `json:"topic,omitempty"`
	ID    string `json:"id,omitempty"`
	Type  string `json:"type"`
	Data  string `json:"data"`
	Time  string `json:"time"`
}

// timeFormat has a fixed width, so that records sort and columns stand.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func (u *ui) printJSON(event sse.Event) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(record{
		Topic: event.Topic, ID: event.ID, Type: typeOf(event), Data: event.Data,
		Time: u.now().UTC().Format(timeFormat),
	})
	if err != nil {
		return err
	}
	return u.write(line.String())
}

// typeOf returns the type that listeners of the event are registered for.
func typeOf(event sse.Event) string {
	if event.Type == "" {
		return "message"
	}
	return event.Type
}

// table remembers how wide the columns of the display have become. A stream's
// types are not known before they are seen, so columns only grow.
type table struct {
	typeWidth, idWidth int
}

// maxColumn is where a column stops growing: a long ID must not push the data
// of all later events off the screen.
const maxColumn = 24

// printRow prints an event for a person: time, type, id, data; lines of data
// after the first stand under it.
func (u *ui) printRow(event sse.Event) error {
	u.settle()
	kind, id := visible(typeOf(event), false), visible(event.ID, false)
	u.table.typeWidth = column(u.table.typeWidth, kind)
	u.table.idWidth = column(u.table.idWidth, id)

	now := u.now().Format("15:04:05.000")
	head := u.out.paint(dim, now) +
		" " + u.out.paint(typeColour(event.Type), kind) + pad(kind, u.table.typeWidth)
	indent := len(now) + 1 + u.table.typeWidth
	if u.table.idWidth > 0 {
		head += " " + u.out.paint(dim, id) + pad(id, u.table.idWidth)
		indent += 1 + u.table.idWidth
	}
	margin := "\n" + strings.Repeat(" ", indent) + u.out.paint(dim, "│") + " "
	data := visible(event.Data, true)
	return u.write(head + "  " + strings.ReplaceAll(data, "\n", margin) + "\n")
}

func column(width int, text string) int {
	return max(width, min(utf8.RuneCountInString(text), maxColumn))
}

func pad(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// typeColour gives every type a colour of its own, the same in every run.
// Messages, which have no type, have none.
func typeColour(kind string) string {
	if kind == "" || kind == "message" {
		return dim
	}
	colours := [...]string{"36", "35", "34", green, yellow}
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, kind)
	return colours[sum.Sum32()%uint32(len(colours))]
}

// write writes one record in one call, so that a reader of a pipe or a
// terminal that stderr shares never sees half of it.
func (u *ui) write(text string) error {
	u.settle()
	_, err := io.WriteString(u.out, text)
	return outputError(err)
}

// errOutputClosed is the end of a reader that has seen enough, like head.
var errOutputClosed = errors.New("stdout is closed")

// outputError tells a reader that has left from an output that is broken.
func outputError(err error) error {
	switch {
	case err == nil:
		return nil
	case isClosedPipe(err):
		return errOutputClosed
	}
	return fmt.Errorf("cannot write to stdout: %w", err)
}

// isClosedPipe reports whether a write failed since nobody reads any more.
func isClosedPipe(err error) bool {
	const errorBrokenPipe, errorNoData = syscall.Errno(109), syscall.Errno(232) // Windows
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return true
	}
	return windows && (errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData))
}

// bytesText says a number of bytes as a person would.
func bytesText(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			text := fmt.Sprintf("%.1f", float64(n)/float64(unit.size))
			return strings.TrimSuffix(text, ".0") + " " + unit.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// delayText says a wait, rounded: nobody waits for a nanosecond.
func delayText(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}
