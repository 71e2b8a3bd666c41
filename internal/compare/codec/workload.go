package main

import (
	"io"
	"strings"
)

// event is the input of an encoder and the expected output of a decoder.
type event struct {
	id, typ, data string
}

// workload is an event that is encoded or decoded many times.
type workload struct {
	name string
	event
	unit string // the encoded event
	read int    // largest number of bytes that one Read of the stream returns; if zero, no limit
}

const megabyte = 1_000_000

// token is the data of an event as servers of language models send it. The encoded
// event has 112 bytes.
const token = `{"id":"chatcmpl-9x","object":"chat.completion.chunk",` +
	`"choices":[{"index":0,"delta":{"content":" tok"}}]}`

var (
	large = strings.Repeat("x", megabyte)
	lines = strings.Repeat(strings.Repeat("x", 40)+"\n", 7) + strings.Repeat("x", 40)
)

// The workloads for decoders.
var decoding = []workload{
	newWorkload("a: 112 B events", event{data: token}, 0),
	newWorkload("b: 1 MB lines", event{data: large}, 0),
	newWorkload("b: 1 MB lines, 1 KiB reads", event{data: large}, 1<<10),
	newWorkload("c: 8 lines, id, type", event{"0123456789", "update", lines}, 0),
}

// The workloads for encoders. The workload decoding[2] is missing, because it differs
// from decoding[1] only in the size of reads.
var encoding = []workload{decoding[0], decoding[1], decoding[3]}

func newWorkload(name string, e event, read int) workload {
	var b strings.Builder
	if e.id != "" {
		b.WriteString("id: " + e.id + "\n")
	}
	if e.typ != "" {
		b.WriteString("event: " + e.typ + "\n")
	}
	for line := range strings.SplitSeq(e.data, "\n") {
		b.WriteString("data: " + line + "\n")
	}
	b.WriteString("\n")
	return workload{name: name, event: e, unit: b.String(), read: read}
}

// stream returns n events of the workload.
func (w workload) stream(n int) io.Reader {
	// Put many small events into one block, so that a Read copies large pieces.
	block := w.unit
	if len(block) < 64<<10 {
		block = strings.Repeat(w.unit, 64<<10/len(w.unit))
	}
	return &cycle{block: block, left: n * len(w.unit), read: w.read}
}

// cycle is a reader that repeats its block.
type cycle struct {
	block string
	off   int // offset in block of the next byte
	left  int // number of bytes before the end
	read  int // as in workload
}

func (c *cycle) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if c.read > 0 {
		p = p[:min(len(p), c.read)]
	}
	p = p[:min(len(p), c.left)]
	n := copy(p, c.block[c.off:])
	c.left -= n
	if c.off += n; c.off == len(c.block) {
		c.off = 0
	}
	return n, nil
}
