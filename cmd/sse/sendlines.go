package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sse-go/sse/cmd/sse/internal/text"
)

// The values of --invalid: how to treat a line that cannot be published as it
// is.
const (
	stopAtInvalid  = "stop"
	replaceInvalid = "replace"
	skipInvalid    = "skip"
)

const (
	// A batch ends when it has maxBatch lines, or at least maxBatchBytes. The limits
	// are low because each new attempt to publish a batch sends all of its lines again.
	maxBatch      = 1000
	maxBatchBytes = 1 << 20
)

// lineSender publishes the lines of stdin, in batches.
type lineSender struct {
	*sender
	read     int    // number of lines that were read from stdin
	kept     int    // number of lines that the hub has stored
	lastID   string // the ID of the last line that the hub has stored
	skipped  int    // number of lines that --invalid skip has skipped
	replaced int    // number of lines that --invalid replace has changed
}

// encodedLine is a line of stdin as an event.
type encodedLine struct {
	number int    // of the line in stdin, from 1
	event  []byte // a line of JSON
}

// sendLines publishes each line of stdin as an event. Lines that have arrived
// together are published in one batch. If a line or stdin causes an error, sendLines
// publishes the lines before the error, and then returns the error.
func (s *sender) sendLines(ctx context.Context, stdin io.Reader) error {
	l := &lineSender{sender: s}
	defer l.reportChanges()
	in := bufio.NewReaderSize(stdin, 64<<10)
	for {
		batch, readErr := l.readBatch(in)
		err := l.publish(ctx, batch)
		switch {
		case err != nil:
			return l.withProgress(err)
		case readErr == io.EOF && l.lastID == "":
			return nil
		case readErr == io.EOF:
			return s.ui.write(l.lastID + "\n")
		case readErr != nil:
			return l.withProgress(readErr)
		}
	}
}

// readBatch waits for one line, and then adds the lines that have already arrived,
// up to the limits of a batch. If it returns an error, the batch has the lines before
// the error, and the caller must not call readBatch again. At the end of stdin, the
// error is io.EOF.
func (l *lineSender) readBatch(in *bufio.Reader) (batch []encodedLine, err error) {
	size := 0
	for len(batch) == 0 || len(batch) < maxBatch && size < maxBatchBytes && hasLine(in) {
		line, err := in.ReadString('\n')
		switch {
		case err != nil && err != io.EOF: // the line may be incomplete
			return batch, fmt.Errorf("cannot read stdin: %w", err)
		case line == "":
			return batch, err
		}
		l.read++
		if event, invalid := l.encode(line); invalid == nil {
			batch = append(batch, encodedLine{l.read, event})
			size += len(event)
		} else if stop := l.reject(l.read, invalid); stop != nil {
			return batch, stop
		}
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

// hasLine reports whether in contains a whole line, so that reading it does not
// block.
func hasLine(in *bufio.Reader) bool {
	buffered, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// encode returns the event with the line as its data, as a line of JSON. It returns
// an error if an event stream cannot carry the line. With --invalid replace, it
// replaces the bytes that would cause this error.
func (l *lineSender) encode(line string) ([]byte, error) {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if l.options.invalid == replaceInvalid {
		line = l.replace(line)
	}
	if strings.ToValidUTF8(line, "") != line {
		return nil, errors.New("must be UTF-8")
	}
	if at := strings.IndexByte(line, '\r'); at >= 0 && l.options.eol == "" {
		return nil, &failure{
			message: fmt.Sprintf("must not have a CR (at byte %d), because an event stream "+
				"cannot carry a CR", at),
			hint: "to replace each CR with LF, use --eol lf",
		}
	}
	var event bytes.Buffer
	encoder := json.NewEncoder(&event)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Type string `json:"type,omitempty"`
		Data string `json:"data"`
	}{l.options.kind, line})
	return event.Bytes(), err
}

// replace returns line with U+FFFD in place of the bytes that an event stream cannot
// carry. It counts the lines that it changes, and reports the first of them.
func (l *lineSender) replace(line string) string {
	valid := strings.ToValidUTF8(line, "\ufffd")
	if l.options.eol == "" {
		valid = strings.ReplaceAll(valid, "\r", "\ufffd")
	}
	if valid != line {
		if l.replaced++; l.replaced == 1 {
			l.ui.report(yellow,
				"line %d: replaced bytes that an event stream cannot carry with U+FFFD", l.read)
		}
	}
	return valid
}

// reject handles a line that cannot be published. With --invalid skip, it counts the
// line and returns nil, and the command continues after the line. Otherwise it returns
// the error that ends the command.
func (l *lineSender) reject(number int, reason error) error {
	if l.options.invalid == skipInvalid {
		if l.skipped++; l.skipped == 1 {
			l.ui.report(yellow, "line %d skipped: %s", number, lineReason(reason))
		}
		return nil
	}
	f := &failure{code: exitFailed, hint: "to continue after such a line, use --invalid skip"}
	if l.options.invalid == stopAtInvalid {
		f.hint += " or --invalid replace"
	}
	if inner := (*failure)(nil); errors.As(reason, &inner) && inner.hint != "" {
		f.hint = inner.hint
	}
	f.message = fmt.Sprintf("line %d: %s", number, lineReason(reason))
	return f
}

// lineReason returns the reason for which a line was refused. It removes the line
// number of the hub's message, because the hub counts from the start of the batch and
// not from the start of stdin.
func lineReason(err error) string {
	message := text.WithoutPrefix(err)
	if r := (*refusal)(nil); errors.As(err, &r) {
		message = strings.TrimPrefix(message, fmt.Sprintf("line %d: ", r.line))
	}
	return message
}

// publish publishes lines, in batches. If the hub refuses a line, the hub stores no
// line of the batch. Then publish publishes the lines before the refused line, and
// passes the refused line to reject. If reject returns nil, publish continues with the
// lines after the refused line.
func (l *lineSender) publish(ctx context.Context, lines []encodedLine) error {
	for len(lines) > 0 {
		n := batchLength(lines)
		err := l.postBatch(ctx, lines[:n])
		if err == nil {
			lines = lines[n:]
			continue
		}
		refused := refusedLine(err, n)
		if refused == 0 {
			return err
		}
		if err := l.publish(ctx, lines[:refused-1]); err != nil {
			return err
		}
		if err := l.reject(lines[refused-1].number, err); err != nil {
			return err
		}
		lines = lines[refused:]
	}
	return nil
}

// batchLength returns how many of the lines are published in one batch: all lines, but
// only as many as have 2*maxBatchBytes together, and at least one line. For example, if
// the last line of readBatch is very long, the line is published in a batch of its own.
// Otherwise the batch could be too large for the hub.
func batchLength(lines []encodedLine) int {
	size := 0
	for i, line := range lines {
		if size += len(line.event); i > 0 && size > 2*maxBatchBytes {
			return i
		}
	}
	return len(lines)
}

// refusedLine returns the number of the line that the hub has refused, from 1, in a
// batch of n lines. If no single line caused the error, it returns 0.
func refusedLine(err error, n int) int {
	var r *refusal
	switch {
	case !errors.As(err, &r):
		return 0
	case r.status == http.StatusRequestEntityTooLarge && n == 1:
		return 1
	case r.status != http.StatusRequestEntityTooLarge && r.status != http.StatusBadRequest, r.line > n:
		return 0
	}
	return r.line
}

// postBatch publishes lines in one request. The hub stores all of them or none.
func (l *lineSender) postBatch(ctx context.Context, lines []encodedLine) error {
	var body bytes.Buffer
	for _, line := range lines {
		body.Write(line.event)
	}
	result, err := l.post(ctx, body.Bytes(), "application/x-ndjson")
	if err != nil {
		return err
	}
	l.kept, l.lastID = l.kept+len(lines), result.ID
	return nil
}

// withProgress returns err as a failure. Its message also contains the number of
// lines that the hub has stored, and the ID of the last of these lines.
func (l *lineSender) withProgress(err error) error {
	f := &failure{message: text.WithoutPrefix(err), code: exitFailed}
	if inner := (*failure)(nil); errors.As(err, &inner) {
		*f = *inner
	}
	f.message += fmt.Sprintf("; before the error: kept %d", l.kept)
	if l.lastID != "" {
		f.message += ", last ID " + l.lastID
	}
	return f
}

// reportChanges reports how many lines were skipped, and how many were changed. It
// reports no number below 2, because the first line was reported on its own.
func (l *lineSender) reportChanges() {
	if l.skipped > 1 {
		l.ui.report(yellow, "skipped %d lines", l.skipped)
	}
	if l.replaced > 1 {
		l.ui.report(yellow, "replaced bytes that an event stream cannot carry in %d lines", l.replaced)
	}
}
