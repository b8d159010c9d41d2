//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles is how many files and connections the process may have open. Go has
// raised it to the most that it may be.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
