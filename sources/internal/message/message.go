// Package message writes the parts of errors that people read.
package message

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tributary-gitops/tributary/fleet"
)

// Printable quotes a name if it contains characters that could break out of a
// log line.
func Printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}

// Size returns a number of bytes as text.
func Size(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// Summarize lists a few of the names, whose noun is given as one and as many.
func Summarize(one, many string, names []string) string {
	const most = 5
	shown := make([]string, min(most, len(names)))
	for i := range shown {
		shown[i] = Printable(names[i])
	}
	switch list := strings.Join(shown, ", "); {
	case len(names) == 0:
		return "no " + many
	case len(names) == 1:
		return "the " + one + " " + list
	case len(names) > most:
		return fmt.Sprintf("the %s %s and %d more", many, list, len(names)-most)
	default:
		return "the " + many + " " + list
	}
}

// Reworded is an error with another text.
type Reworded struct {
	text string
	err  error
}

// Reword returns err with another text.
func Reword(err error, text string) error { return Reworded{text, err} }

func (e Reworded) Error() string { return e.text }
func (e Reworded) Unwrap() error { return e.err }

// MaxForeign is the maximum length of a server's text in an error, in bytes.
const MaxForeign = 300

var urlLike = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*`)

// Clean returns a text as one printable line, without the secrets that URLs may
// contain.
func Clean(text string) string {
	text = urlLike.ReplaceAllStringFunc(text, cleanURL)
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > MaxForeign {
		text = strings.ToValidUTF8(text[:MaxForeign], "") + "…"
	}
	return text
}

func cleanURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		scheme, _, _ := strings.Cut(text, "://")
		return scheme + "://…"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// NoAnswer is the text for a host that does not answer in time.
const NoAnswer = "no answer in time; is the host up, and reachable from here?"

// Invalid returns a fleet.ErrInvalid.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), fleet.ErrInvalid)
}

// MaxRef is the maximum length of a ref from a caller in bytes, because
// it appears in answers and logs. Git hosts allow no longer names.
const MaxRef = 256

// InvalidRef returns an error for a ref that comes from a caller; names says what
// it may be.
func InvalidRef(ref, names string) error {
	if len(ref) > MaxRef {
		return fmt.Errorf("ref: %w: it is longer than %d bytes", fleet.ErrInvalid, MaxRef)
	}
	return fmt.Errorf("ref %q: %w: name %s", ref, fleet.ErrInvalid, names)
}
