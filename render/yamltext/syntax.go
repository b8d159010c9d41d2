package yamltext

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	locating "go.yaml.in/yaml/v4"

	"github.com/tributary-gitops/tributary/fleet"
)

// SyntaxProblem says where and why a text is not YAML. err is what the decoder returned, which
// often has the line at which the surrounding block begins, and never a column. So the text is
// parsed once more by the library's next version, which knows both. The version that kustomize
// uses still decides what is YAML.
func SyntaxProblem(file string, data []byte, err error) fleet.Problem {
	t := brokenText{data: data, lines: strings.Split(string(data), "\n")}
	t.locate(err)
	t.explain()
	return fleet.Problem{File: file, Line: t.line, Column: t.column, Message: "not YAML: " + t.message}
}

// brokenText is a text that is not YAML, and what is wrong with it.
type brokenText struct {
	data         []byte
	lines        []string
	line, column int
	message      string
	context      string // what the library was reading
}

// locate takes the place and the words of the library.
func (t *brokenText) locate(err error) {
	t.message = yamlLine.ReplaceAllString(err.Error(), "")
	t.line = 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		t.line, _ = strconv.Atoi(m[1])
	}
	var found *locating.LoadError
	if !errors.As(parseAgain(t.data), &found) || found.Mark.Line == 0 {
		return
	}
	t.message, t.context = found.Message, found.ContextMsg
	at := found.Mark
	// What is not closed is reported where it is opened, and a key without a colon where it is.
	for _, opened := range []string{"simple key", "flow sequence", "flow mapping", "quoted scalar"} {
		if strings.HasSuffix(t.context, opened) && t.message != unknownEscape && found.ContextMark.Line > 0 {
			at = found.ContextMark
		}
	}
	t.line, t.column = at.Line, at.Column
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

const unknownEscape = "found unknown escape character"

// parseAgain returns the error of the library's next version; io.EOF for none.
func parseAgain(data []byte) error {
	dec := locating.NewDecoder(bytes.NewReader(data))
	for {
		var doc locating.Node
		if err := dec.Decode(&doc); err != nil {
			return err
		}
	}
}

var (
	conflict = regexp.MustCompile(`^(<{7}|={7}|>{7})( |\r?$)`)
	template = regexp.MustCompile(`\{\{|\{%`)
	noSpace  = regexp.MustCompile(`^\s*-[A-Za-z./]`)
	unquoted = regexp.MustCompile(`^\s*(?:- )?[^\s:"']+:\s+[^"'\s|>{\[&*!].*:(\s|$)`)
	unknown  = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// explain puts what is wrong in words that say what to do.
func (t *brokenText) explain() {
	if t.encoding() {
		return
	}
	for i, line := range t.lines {
		if conflict.MatchString(line) {
			t.line, t.column, t.message = i+1, 1, "is the mark of a merge conflict; resolve it"
			return
		}
	}
	line := t.textOf(t.line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch tab := strings.IndexByte(indent, '\t'); {
	case tab >= 0:
		t.column, t.message = tab+1, "is indented with a tab; use spaces"
	case template.MatchString(line):
		t.column, t.message = utf8.RuneCountInString(line[:template.FindStringIndex(line)[0]])+1, "is this a template, such as {{ .Values.name }}? Templates are not rendered: write the value"
	case noSpace.MatchString(line) && t.message != unknownEscape:
		t.column, t.message = len(indent)+1, "a dash needs a space after it"
	default:
		t.reword(line)
	}
}

func (t *brokenText) textOf(line int) string {
	if line < 1 || line > len(t.lines) {
		return ""
	}
	return t.lines[line-1]
}

// encoding reports whether the text has bytes or characters that no YAML has, and says which.
func (t *brokenText) encoding() bool {
	for i, line := range t.lines {
		column := 0
		for rest := line; len(rest) > 0; column++ {
			c, size := utf8.DecodeRuneInString(rest)
			switch {
			case c == utf8.RuneError && size == 1:
				t.message = fmt.Sprintf("byte 0x%02X is not UTF-8; save the file as UTF-8", rest[0])
			case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
				t.message = fmt.Sprintf("has the control character U+%04X; remove it", c)
			default:
				rest = rest[size:]
				continue
			}
			t.line, t.column = i+1, column+1
			return true
		}
	}
	return false
}

// reword says in other words what the library says about a line.
func (t *brokenText) reword(line string) {
	switch t.message {
	case "mapping values are not allowed in this context":
		if unquoted.MatchString(line) {
			t.message = "a value with a colon and a space must be in quotes"
		} else {
			t.message = "a key cannot stand here; indent it as the keys above"
		}
	case "could not find expected ':'":
		t.message = "a key needs a colon and a space after it, and text of several lines must be indented"
	case "did not find expected key":
		t.message = "is not indented as the keys above"
	case "did not find expected '-' indicator":
		t.message = "is not indented as the entries above, or lacks a dash"
	case "did not find expected ',' or ']'":
		t.message = "[ has no ] or a comma is missing"
	case "did not find expected ',' or '}'":
		t.message = "{ has no } or a comma is missing"
	case "did not find expected node content":
		t.message = "a value is missing"
	case "found unexpected end of stream", "found unexpected document indicator":
		t.message = "the quote is not closed"
	case unknownEscape:
		t.message = "a backslash in double quotes begins an escape, and this is none; use single quotes, or two backslashes"
	case "found character that cannot start any token":
		c, _ := utf8.DecodeRuneInString(t.after())
		t.message = fmt.Sprintf("a value cannot begin with %c; put it in quotes", c)
	case io.ErrUnexpectedEOF.Error():
		t.message = "ends in the middle of a value"
	}
	if m := unknown.FindStringSubmatch(t.message); m != nil {
		t.message = fmt.Sprintf("there is no anchor &%s before *%[1]s in this document; write the value", m[1])
	}
}

// after returns the line from the column on.
func (t *brokenText) after() string {
	runes := []rune(t.textOf(t.line))
	if t.column < 1 || t.column > len(runes) {
		return " "
	}
	return string(runes[t.column-1:])
}
