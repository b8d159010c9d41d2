// Package textfmt formats short pieces of text for people who read a terminal: names,
// counts, times and lists that must fit on a line.
//
//	textfmt.Count(3, "cluster")           // "3 clusters"
//	textfmt.List([]string{"a", "b"}, 10)  // "a, b"
//	textfmt.Visible("evil\x1b[2Jname")    // "evil?[2Jname"
//
// Names and reasons come from servers and repositories that other people write to.
// Pass them through Visible before printing them to a terminal.
package textfmt

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Visible replaces control characters, so that the text cannot control a terminal, nor the order in which
// it is read.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar, unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, text)
}

// Time formats a time to the second in the local time zone; "" for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

// Age returns how long before now a time was, rounded as kubectl does; "" for nil.
// A time after now, from a machine whose clock is ahead, has the age 0.
func Age(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(*t)))
}

// Until returns how long after now a time is, rounded as kubectl does; "" for nil.
func Until(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return ""
	case !now.Before(*t):
		return "expired"
	}
	return "in " + duration.HumanDuration(t.Sub(now))
}

// digest matches the hex digits of a revision that no person needs.
var digest = regexp.MustCompile(`(:[0-9a-f]{8})[0-9a-f]{32,}\b`)

// Revision shortens the digest of a revision, as Flux does: main@sha1:8f1c2a3b.
func Revision(revision string) string { return digest.ReplaceAllString(revision, "$1") }

// Count returns a number with its noun, in the plural unless the number is 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// List joins names with commas. Beyond limit it counts the rest.
func List(names []string, limit int) string {
	if len(names) <= limit+1 { // "and 1 more" is no shorter than a name
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}

// Shorten cuts a text to a number of characters, the last of which is then an
// ellipsis.
func Shorten(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}

// Label turns a text into a DNS label.
func Label(text string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	for strings.Contains(plain, "--") {
		plain = strings.ReplaceAll(plain, "--", "-")
	}
	plain = strings.Trim(plain, "-")
	return strings.TrimRight(plain[:min(len(plain), 63)], "-")
}
