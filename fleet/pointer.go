package fleet

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckPointer returns an error if a text is no JSON pointer (RFC 6901), or if it has an index
// that RFC 6901 does not know, such as 01 or +1, of a list in the document. The library that
// applies JSON patches takes both, and finds another place than the author meant.
func CheckPointer(pointer string, document any) error {
	if pointer == "" {
		return nil
	}
	if !strings.HasPrefix(pointer, "/") {
		return fmt.Errorf("%q is no JSON pointer; it must begin with /", pointer)
	}
	if badEscape.MatchString(pointer) {
		return fmt.Errorf("%q is no JSON pointer; ~ must be written ~0", pointer)
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		switch at := document.(type) {
		case map[string]any:
			document = at[unescape.Replace(token)]
		case []any:
			if strings.HasPrefix(token, "-") {
				return nil // the end, or an index from there, which is kustomize's addition
			}
			if !index.MatchString(token) {
				return fmt.Errorf("%q has %q as the index of a list; it must be a number such as 0 or 12, or - for the end", pointer, token)
			}
			var i int
			if _, err := fmt.Sscan(token, &i); err != nil || i >= len(at) {
				return nil // the library reports it
			}
			document = at[i]
		default:
			return nil
		}
	}
	return nil
}

var (
	badEscape = regexp.MustCompile(`~(?:[^01]|$)`)
	index     = regexp.MustCompile(`^(?:0|[1-9][0-9]*)$`)
	unescape  = strings.NewReplacer("~1", "/", "~0", "~")
)
