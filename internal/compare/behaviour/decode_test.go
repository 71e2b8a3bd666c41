package behaviour

import (
	"io"
	"slices"
	"strings"
	"testing/iotest"
)

// got is an event as a library reports it.
type got struct {
	id, typ, data string
	retry         int64 // milliseconds
}

// decodeAdapter calls the decoder of a library.
type decodeAdapter struct {
	id, typ, retry bool // the decoder reports the ID, the type, the retry time of an event
	jsonOnly       bool // the decoder accepts only JSON-RPC messages (see words)
	keepsLF        bool // the reported data ends with LF, which the comparison ignores

	// decode returns the events before the end of the stream or an error.
	decode func(r io.Reader) []got

	// limited is decode with a limit for the size of an event. If nil, the library
	// has no such limit.
	limited func(r io.Reader, limit int) []got
}

// words are the data of events in the cases that are also suitable for a JSON-RPC
// library. Such a library receives a message with the word as its method.
var words = []string{"alpha", "beta", "gamma"}

// decodeCase is a stream and its events.
type decodeCase struct {
	rule, source string
	stream       string
	want         []got
	byByte       bool // each Read returns one byte
	exact        bool // an LF at the end of the data counts, even with keepsLF
	id, typ      bool // the case needs a decoder that reports the ID, the type
	retry        bool // the case needs a decoder that reports the retry time
	cut          bool // the case concerns an event that is cut at the end of the stream
}

func decodeRows() []behaviour {
	var rows []behaviour
	for _, c := range decodeCases {
		rows = append(rows, behaviour{"Decoding", c.rule, c.source, c.run})
	}
	return append(rows, largeRows()...)
}

func (c decodeCase) run(lib *library) outcome {
	d := lib.decode
	if d == nil || c.id && !d.id || c.typ && !d.typ || c.retry && !d.retry ||
		(c.exact || c.cut) && d.jsonOnly {
		return notApplicable
	}
	for _, want := range c.want {
		if d.jsonOnly && !slices.Contains(words, want.data) {
			return notApplicable
		}
	}
	var r io.Reader = strings.NewReader(c.stream)
	if d.jsonOnly {
		r = strings.NewReader(asJSON(c.stream))
	}
	if c.byByte {
		r = iotest.OneByteReader(r)
	}
	events := d.decode(r)
	if len(events) != len(c.want) {
		return fail
	}
	for i, event := range events {
		if d.keepsLF && !c.exact {
			event.data = strings.TrimSuffix(event.data, "\n")
		}
		want := c.want[i]
		if event.data != want.data || c.id && event.id != want.id ||
			c.typ && event.typ != want.typ || c.retry && event.retry != want.retry {
			return fail
		}
	}
	return pass
}

// asJSON replaces the words in a stream with JSON-RPC messages.
func asJSON(stream string) string {
	for _, word := range words {
		stream = strings.ReplaceAll(stream, word, `{"jsonrpc":"2.0","method":"`+word+`"}`)
	}
	return stream
}

// largeRows returns the rows that concern the size of an event.
func largeRows() []behaviour {
	large := func(size int) func(*library) outcome {
		return func(lib *library) outcome {
			if lib.decode == nil {
				return notApplicable
			}
			// JSON allows white space before a value.
			stream := "data: " + strings.Repeat(" ", size) + "alpha\n\ndata: beta\n\n"
			want := strings.Repeat(" ", size) + "alpha"
			if lib.decode.jsonOnly {
				stream, want = asJSON(stream), "alpha"
			}
			events := lib.decode.decode(strings.NewReader(stream))
			return passIf(len(events) == 2 &&
				strings.TrimSuffix(events[0].data, "\n") == want)
		}
	}
	limited := func(lib *library) outcome {
		if lib.decode == nil || lib.decode.limited == nil {
			return notApplicable
		}
		stream := "data: " + strings.Repeat("x", 100_000) + "\n\ndata: beta\n\n"
		if lib.decode.jsonOnly {
			stream = asJSON(stream)
		}
		events := lib.decode.limited(strings.NewReader(stream), 10_000)
		return passIf(len(events) > 0 && events[len(events)-1].data == "beta")
	}
	return []behaviour{
		{"Decoding", "An event of 100 KiB is decoded with default settings.",
			"HTML 9.2.6 has no limit; openai/openai-go#368, r3labs/sse#97, tmaxmax/go-sse#32",
			large(100 << 10)},
		{"Decoding", "An event of 2 MiB is decoded with default settings.",
			"HTML 9.2.6 has no limit; modelcontextprotocol/go-sdk#726", large(2 << 20)},
		{"Decoding", "A decoder with a size limit skips an event that is too large and decodes the next.",
			"HTML 9.2.6; ogen-go/ogen TestDecoder_Decode_ContinuesAfterMaxEventSize", limited},
	}
}
