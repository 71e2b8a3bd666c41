package sse

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errNotGzip ends a session whose server declares a coding that it does not use.
var errNotGzip = &finalError{errors.New("Content-Encoding is gzip, but the body is not")}

// isEventStream reports whether the MIME type of a header is text/event-stream. It
// ignores the parameters.
func isEventStream(header http.Header) bool { return mimeEssence(header) == "text/event-stream" }

// mimeEssence returns the type and the subtype of the MIME type of a header, in
// lower case, or "" if the header has no valid one.
//
// Fetch, "extract a MIME type": the last valid value counts, and "*/*" is not
// valid. An event stream is always UTF-8, so the steps for the parameter charset,
// which may come from an earlier value, have no effect.
func mimeEssence(header http.Header) string {
	essence := ""
	for _, value := range splitValues(header.Values("Content-Type")) {
		if e := parseEssence(value); e != "" && e != "*/*" {
			essence = e
		}
	}
	return essence
}

// splitValues splits the values of a header field at the commas that are not
// within quotes.
//
// Fetch, "get, decode, and split"
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

// parseEssence returns the type and the subtype of one MIME type, in lower case, or
// "" if it is not valid. The parameters need not be valid.
//
// MIME Sniffing, "parse a MIME type"
func parseEssence(value string) string {
	const space = " \t\r\n"
	essence, _, _ := strings.Cut(value, ";")
	typ, subtype, _ := strings.Cut(strings.Trim(essence, space), "/")
	if !isHeaderName(typ) || !isHeaderName(subtype) {
		return ""
	}
	return strings.ToLower(typ + "/" + subtype)
}

// contentCodings returns the codings that a header declares, in lower case and in
// the order in which they were applied. Some servers declare "none" or "identity",
// although neither is a coding.
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

// decodeContent returns a reader of the body without the codings, or false if one
// of them is unknown. The client does not ask for a coding, but some servers use
// gzip nevertheless.
func decodeContent(body io.Reader, codings []string) (io.Reader, bool) {
	switch {
	case len(codings) == 0:
		return body, true
	case len(codings) == 1 && codings[0] == "gzip":
		return &gzipReader{src: body}, true
	}
	return nil, false
}

// gzipReader decodes a body whose first byte may come much later than the header.
// If the server flushes after each event, each event can be read at once.
type gzipReader struct {
	src io.Reader
	zr  *gzip.Reader // nil before the first read
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
