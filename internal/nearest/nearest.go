// Package nearest finds the name that somebody probably meant.
//
//	if name, ok := nearest.Name("overlay", known); ok {
//		message += fmt.Sprintf("; is %s meant?", name)
//	}
package nearest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// maxDistance is how many letters of a long name may differ.
const maxDistance = 3

// Name returns the known name that is most like a misspelt one. Names are alike if few
// letters have to change, about one of three and at most three; upper and lower case are the same, and letters
// that have changed places count once. It returns false if no name is.
func Name(misspelt string, known []string) (name string, found bool) {
	best := min(max(len(misspelt)/3, 1), maxDistance) + 1
	for _, candidate := range known {
		if d := distance(strings.ToLower(misspelt), strings.ToLower(candidate)); d < best {
			best, name, found = d, candidate, true
		}
	}
	return name, found
}

// distance counts the letters that have to change. Two neighbours that have changed places
// count as one.
func distance(a, b string) int {
	n := levenshtein.ComputeDistance(a, b)
	if n != 2 || len(a) != len(b) {
		return n
	}
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			if a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:] {
				return 1
			}
			break
		}
	}
	return n
}

// Hint returns "; is NAME meant?", or "" if no known name is alike.
func Hint(misspelt string, known []string) string {
	if name, found := Name(misspelt, known); found {
		return "; is " + name + " meant?"
	}
	return ""
}
