package main

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/eventjson"
)

// printEvent prints one event to stdout. If it returns an error, the command ends.
type printEvent func(sse.Event) error

// eventPrinter returns the function that prints events. It prints JSON if asJSON
// is true, a row of a table if stdout is a terminal, and otherwise only the data.
func (u *ui) eventPrinter(asJSON bool) printEvent {
	switch {
	case asJSON:
		return u.printJSON
	case u.out.terminal:
		return u.printRow
	}
	return u.printData
}

// printData prints the event's data, which may have several lines.
func (u *ui) printData(event sse.Event) error {
	return u.write(event.Data + "\n")
}

// printJSON prints an event as one line of JSON.
func (u *ui) printJSON(event sse.Event) error {
	object := eventjson.New(event)
	if event.Topic != "" {
		object.Topics = []string{event.Topic}
	}
	object.Received = eventjson.FormatTime(u.now())
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return err
	}
	return u.write(line.String())
}

// table holds the widths of the columns, in characters. A width grows when an event
// needs more space, and never becomes smaller.
type table struct {
	typeWidth, idWidth int
}

// maxColumn is the largest width of a column, in characters. Without this limit,
// one long ID would move the data of all later events off the screen.
const maxColumn = 24

// printRow prints an event for a person: time, type, ID and data. The second
// and later lines of data are aligned below the first.
func (u *ui) printRow(event sse.Event) error {
	u.clearProgress()
	kind, id := visible(eventjson.TypeOf(event), false), visible(event.ID, false)
	u.table.typeWidth = columnWidth(u.table.typeWidth, kind)
	u.table.idWidth = columnWidth(u.table.idWidth, id)

	now := u.now().Format("15:04:05.000")
	head := u.out.paint(dim, now) +
		" " + u.out.paint(typeColor(event.Type), kind) + padding(kind, u.table.typeWidth)
	indent := len(now) + 1 + u.table.typeWidth
	if u.table.idWidth > 0 {
		head += " " + u.out.paint(dim, id) + padding(id, u.table.idWidth)
		indent += 1 + u.table.idWidth
	}
	margin := "\n" + strings.Repeat(" ", indent) + u.out.paint(dim, "│") + " "
	data := visible(event.Data, true)
	return u.write(head + "  " + strings.ReplaceAll(data, "\n", margin) + "\n")
}

// columnWidth returns the width of a column after text has been added to it.
func columnWidth(width int, text string) int {
	return max(width, min(utf8.RuneCountInString(text), maxColumn))
}

// padding returns the spaces that extend text to width.
func padding(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// typeColor returns the style for the type of an event. It depends only on the
// type, so a type has the same style in every run. An event without a type, or of
// type message, is dim.
func typeColor(kind string) string {
	if kind == "" || kind == "message" {
		return dim
	}
	colors := [...]string{"36", "35", "34", green, yellow}
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, kind)
	return colors[sum.Sum32()%uint32(len(colors))]
}

// write writes one record to stdout in a single call. With several calls, the
// reader of a pipe could receive a part of the record, and a terminal could show a
// message from stderr in the middle of the record.
func (u *ui) write(text string) error {
	u.clearProgress()
	_, err := io.WriteString(u.out, text)
	return outputError(err)
}
