//go:build unix

package limit

import (
	"math"
	"syscall"
)

// MaxOpenFiles returns how many files and connections the process may have open. Go has
// raised the soft limit to the hard one.
func MaxOpenFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
