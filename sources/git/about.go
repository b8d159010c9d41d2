package git

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxHeadline limits the author and the subject of a commit, in bytes, and maxApprovals the digests
// that its trailers may name.
const (
	maxHeadline  = 200
	maxApprovals = 16
)

// describe returns what a commit object says of its author and in its message.
func describe(commit []byte) *fleet.Commit {
	header, message, _ := bytes.Cut(commit, []byte("\n\n"))
	c := &fleet.Commit{}
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		if author, ok := bytes.CutPrefix(line, []byte("author ")); ok {
			c.Author, c.At = authorOf(string(author))
			break
		}
	}
	text := string(message)
	subject, _, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	c.Subject = headline(subject)
	for _, t := range trailersOf(text) {
		if strings.EqualFold(t.key, fleet.ApproveTrailer) && isDigest.MatchString(t.value) && len(c.Approves) < maxApprovals {
			c.Approves = append(c.Approves, t.value)
		}
	}
	return c
}

var isDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// authorOf splits an author, such as Ada <ada@example.com> 1774785600 +0100.
func authorOf(line string) (name string, at time.Time) {
	end := strings.LastIndex(line, ">")
	if end < 0 {
		return headline(line), time.Time{}
	}
	seconds, _, _ := strings.Cut(strings.TrimSpace(line[end+1:]), " ")
	if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && n >= 0 && n < 1<<37 {
		at = time.Unix(n, 0).UTC()
	}
	return headline(line[:end+1]), at
}

// headline returns a line without control characters, and shortened.
func headline(line string) string {
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "�"))
	line = strings.TrimSpace(line)
	if len(line) > maxHeadline {
		line = strings.ToValidUTF8(line[:maxHeadline], "")
	}
	return line
}

type trailer struct{ key, value string }

var trailerLine = regexp.MustCompile(`^([A-Za-z0-9-]+)[ \t]*:(.*)$`)

// trailersOf returns the trailers of a message by the rules of git-interpret-trailers(1): the last
// paragraph has them, unless it is the first. All of its lines must be trailers, or a quarter of them,
// if Git itself made one.
func trailersOf(message string) []trailer {
	lines := strings.Split(strings.TrimRightFunc(message, unicode.IsSpace), "\n")
	start := len(lines)
	for start > 0 && strings.TrimSpace(lines[start-1]) != "" {
		start--
	}
	if strings.TrimSpace(strings.Join(lines[:start], "")) == "" {
		return nil // the only paragraph is the title
	}
	var found []trailer
	others, made := 0, false
	continues := false // the line before is a trailer
	for _, line := range lines[start:] {
		switch m := trailerLine.FindStringSubmatch(line); {
		case line[0] == ' ' || line[0] == '\t':
			if continues {
				last := &found[len(found)-1]
				last.value = strings.TrimSpace(last.value + " " + strings.TrimSpace(line))
			} else {
				others++
			}
		case m != nil:
			found, continues = append(found, trailer{m[1], strings.TrimSpace(m[2])}), true
			made = made || strings.HasPrefix(line, "Signed-off-by: ")
		case strings.HasPrefix(line, "(cherry picked from commit "):
			continues, made = false, true
		default:
			others, continues = others+1, false
		}
	}
	if others > 0 && (!made || len(found)*3 < others) {
		return nil
	}
	return found
}
