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

// Name returns the known name that is most like a misspelt one. Names are alike if few
// letters have to change, about one of three; upper and lower case are the same. It returns
// false if no name is.
func Name(misspelt string, known []string) (name string, found bool) {
	best := max(len(misspelt)/3, 1) + 1
	for _, candidate := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(misspelt), strings.ToLower(candidate)); d < best {
			best, name, found = d, candidate, true
		}
	}
	return name, found
}

// Hint returns "; is NAME meant?", or "" if no known name is alike.
func Hint(misspelt string, known []string) string {
	if name, found := Name(misspelt, known); found {
		return "; is " + name + " meant?"
	}
	return ""
}
