package sse

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errNotGzip ends Client.Events, because the server would send such a response to the
// next request, too.
var errNotGzip = &finalError{errors.New("Content-Encoding is gzip, but the body is not")}

// isEventStream reports whether Content-Type is text/event-stream. It ignores
// parameters such as charset.
func isEventStream(header http.Header) bool { return mimeEssence(header) == "text/event-stream" }

// mimeEssence returns the MIME type in Content-Type without its parameters, in lower
// case. For "Text/HTML; charset=utf-8" it returns "text/html". It returns "" if the
// header has no valid MIME type.
//
// Fetch Standard, "extract a MIME type": if Content-Type has several values, the last
// valid value counts, and "*/*" is not valid. The steps for the parameter charset are
// left out, because an event stream is always UTF-8.
func mimeEssence(header http.Header) string {
	essence := ""
	for _, value := range splitValues(header.Values("Content-Type")) {
		if e := parseEssence(value); e != "" && e != "*/*" {
			essence = e
		}
	}
	return essence
}

// splitValues splits the lines of a header field at the commas that are not within
// quotes. The line `a;b="1,2", c` has the values `a;b="1,2"` and `c`.
//
// Fetch Standard, "get, decode, and split"
func splitValues(lines []string) (values []string) {
	if len(lines) == 0 {
		return nil
	}
	text := strings.Join(lines, ", ")
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			values = append(values, strings.Trim(text[start:i], " \t"))
			start = i + 1
		}
	}
	return append(values, strings.Trim(text[start:], " \t"))
}

// parseEssence returns a MIME type without its parameters, in lower case. It returns
// "" if the type or the subtype is not valid. It does not check the parameters.
//
// MIME Sniffing Standard, "parse a MIME type"
func parseEssence(value string) string {
	const space = " \t\r\n"
	essence, _, _ := strings.Cut(value, ";")
	typ, subtype, _ := strings.Cut(strings.Trim(essence, space), "/")
	if !isHeaderName(typ) || !isHeaderName(subtype) {
		return ""
	}
	return strings.ToLower(typ + "/" + subtype)
}

// contentCodings returns the codings in Content-Encoding, for example "gzip", in lower
// case and in the order in which the server applied them. It leaves out "none" and
// "identity", because some servers send these words for a body without a coding.
//
// RFC 9110 8.4
func contentCodings(header http.Header) (codings []string) {
	for coding := range strings.SplitSeq(strings.Join(header.Values("Content-Encoding"), ","), ",") {
		switch coding = strings.ToLower(strings.Trim(coding, " \t")); coding {
		case "", "identity", "none":
		case "x-gzip": // RFC 9110 8.4.1.3: "… equivalent to \"gzip\""
			codings = append(codings, "gzip")
		default:
			codings = append(codings, coding)
		}
	}
	return codings
}

// decodeContent returns a reader of the decoded body. It returns false unless there is
// no coding, or gzip is the only one. By default the client asks servers for a body
// without a coding, but some servers use gzip nevertheless.
func decodeContent(body io.Reader, codings []string) (io.Reader, bool) {
	switch {
	case len(codings) == 0:
		return body, true
	case len(codings) == 1 && codings[0] == "gzip":
		return &gzipReader{src: body}, true
	}
	return nil, false
}

// gzipReader decodes gzip. It reads nothing before the first call of Read, because the
// first byte of the body may arrive much later than the response header. If the server
// flushes the compressed bytes after each event, Read returns each event at once.
type gzipReader struct {
	src io.Reader
	zr  *gzip.Reader // nil until Read has read the gzip header
}

// Read implements io.Reader.
func (g *gzipReader) Read(p []byte) (int, error) {
	if g.zr == nil {
		zr, err := gzip.NewReader(g.src)
		if errors.Is(err, gzip.ErrHeader) {
			return 0, errNotGzip
		}
		if err != nil {
			return 0, err
		}
		g.zr = zr
	}
	return g.zr.Read(p)
}
