package sources

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// entryName returns the path for the name of an archive entry or the title of a
// layer; "." is the root. It refuses names that lead elsewhere, and names that
// some system which unpacks the artifact does not support.
func entryName(name string, limits Limits) (string, error) {
	if len(name) > limits.PathLength {
		return "", &fault{strings.ToValidUTF8(name[:64], "") + "…", fmt.Sprintf("its path is longer than %d bytes; shorten it", limits.PathLength)}
	}
	switch {
	case name == "":
		return "", &fault{"", "the archive has an entry without a name; create it again"}
	case !utf8.ValidString(name):
		return "", &fault{name, "its name is not UTF-8; rename it"}
	case strings.ContainsFunc(name, breaksLines):
		return "", &fault{name, "its name contains control characters; rename it"}
	case strings.Contains(name, `\`):
		return "", &fault{name, `its name contains a \, which separates directories on some systems; rename it`}
	case path.IsAbs(name):
		return "", &fault{name, "is an absolute path, which leads out of the artifact; create the archive again with relative paths"}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", &fault{name, "leads out of the artifact with ..; create the archive again from inside its directory"}
		}
	}
	return path.Clean(name), nil
}

func breaksLines(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// fold returns the same text for names that are equal on file systems which
// ignore case or Unicode form.
func fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
		}
	}
	return strings.ToLower(name)
}
