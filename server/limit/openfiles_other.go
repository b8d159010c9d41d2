//go:build !unix

package limit

import "math"

// MaxOpenFiles returns how many files and connections the process may have open.
func MaxOpenFiles() int { return math.MaxInt }
