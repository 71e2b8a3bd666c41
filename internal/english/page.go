package main

import (
	"bytes"
	"html"
	"regexp"
	"strings"
)

// A cursor goes through a file and counts its lines.
type cursor struct {
	rest []byte // the bytes that are not consumed yet
	line int    // number of the line at which rest begins
}

// take consumes the bytes up to and including a delimiter. Without a delimiter, it
// consumes all the rest. It returns the bytes before the delimiter.
func (c *cursor) take(delimiter string) string {
	taken, rest, _ := bytes.Cut(c.rest, []byte(delimiter))
	s := string(taken)
	c.line += strings.Count(s, "\n") + strings.Count(delimiter, "\n")*min(1, len(c.rest)-len(taken))
	c.rest = rest
	return s
}

// skip consumes a prefix of the rest, and reports whether the rest had this prefix.
func (c *cursor) skip(prefix string) bool {
	if !bytes.HasPrefix(c.rest, []byte(prefix)) {
		return false
	}
	c.rest = c.rest[len(prefix):]
	c.line += strings.Count(prefix, "\n")
	return true
}

var (
	inlineTag = regexp.MustCompile(`^/?(?:a|b|code|em|i|kbd|small|span|strong)\b`)
	attribute = regexp.MustCompile(
		`\b(?:title|alt|placeholder|aria-label|value|content)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
)

// page returns the visible text and the comments of an HTML page, and the
// comments and messages of the scripts and styles in it.
func page(path string, data []byte) []*text {
	c := cursor{data, 1}
	t := &text{file: path}
	texts := []*text{t}
	for len(c.rest) > 0 {
		line := c.line
		switch {
		case c.skip("<!--"):
			comment := &text{file: path}
			comment.add(line, c.take("-->"))
			texts = append(texts, comment)
		case c.skip("<script"):
			c.take(">")
			line = c.line
			texts = append(texts, slashTexts(path, line, c.take("</script"))...)
			c.take(">")
		case c.skip("<style"):
			c.take(">")
			line = c.line
			texts = append(texts, slashTexts(path, line, c.take("</style"))...)
			c.take(">")
		case c.skip("<"):
			tag := c.take(">")
			if !inlineTag.MatchString(tag) {
				t.add(line, "")
			}
			for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
				if s := m[1] + m[2]; len(strings.Fields(s)) >= minWords {
					t.addAlone(line, html.UnescapeString(s))
				}
			}
		default:
			s, _, _ := strings.Cut(string(c.rest), "<")
			c.rest = c.rest[len(s):]
			c.line += strings.Count(s, "\n")
			t.add(line, html.UnescapeString(s))
		}
	}
	return texts
}

// slashComments returns the comments of a JavaScript or C file, and its string
// literals of three words or more.
func slashComments(path string, data []byte) []*text {
	return slashTexts(path, 1, string(data))
}

// slashTexts does the work of slashComments for code that begins on a line.
func slashTexts(path string, line int, code string) []*text {
	c := cursor{[]byte(code), line}
	var texts []*text
	last := 0 // line of the last // comment
	for len(c.rest) > 0 {
		line := c.line
		switch {
		case c.skip("//"):
			if last == 0 || last != line-1 {
				texts = append(texts, &text{file: path})
			}
			texts[len(texts)-1].add(line, c.take("\n"))
			last = line
			continue
		case c.skip("/*"):
			t := &text{file: path}
			t.add(line, strings.ReplaceAll(c.take("*/"), "\n *", "\n"))
			texts = append(texts, t)
		case c.skip(`"`), c.skip(`'`), c.skip("`"):
			quote := code[len(code)-len(c.rest)-1]
			if s := c.quoted(quote); len(strings.Fields(s)) >= minWords {
				t := &text{file: path}
				t.add(line, s)
				texts = append(texts, t)
			}
		case c.skip("\n"):
			continue
		default:
			space := c.rest[0] == ' ' || c.rest[0] == '\t' || c.rest[0] == '\r'
			if c.rest = c.rest[1:]; space {
				continue
			}
		}
		last = 0 // code follows the comment
	}
	return texts
}

// quoted consumes the rest of a literal and its closing quote, and returns the
// literal without quotes. A literal also ends at the end of a line, except a
// template literal, in backquotes.
func (c *cursor) quoted(quote byte) string {
	for i := 0; i < len(c.rest); i++ {
		switch b := c.rest[i]; {
		case b == '\\':
			i++
		case b == quote, b == '\n' && quote != '`':
			s := string(c.rest[:i])
			if c.rest = c.rest[i:]; b == quote {
				c.rest = c.rest[1:]
			}
			c.line += strings.Count(s, "\n")
			return s
		}
	}
	return c.take("\x00")
}
